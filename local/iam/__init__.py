"""Who may do what on the local cloud: Google's permissions, roles, conditions and words of refusal.

Two tables are the whole of what is known: methods.toml says what a call needs, roles.toml what a role gives, each line
with its source. The person at the keyboard (`owner`) owns the project and may do everything. Does not own who a caller
is (local/metadata.py) or where grants are kept (local/declared.py, and the policies of buckets, tables and datasets).
"""
