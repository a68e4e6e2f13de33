"""The entities of a stack, one module each, with the grants that open them; none imports another."""
