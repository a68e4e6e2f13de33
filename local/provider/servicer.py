"""The provider's protocol: what the engine asks, in terms of resource types.

Owns messages, previews, automatic names, what a provider instance was configured with, and how errors are shown. Does
not own any resource type.
"""

# ruff: noqa: N802 (the protocol names its methods)

import contextlib
import functools
import hashlib
import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import grpc  # type: ignore[import-untyped]  # ships no types
from google.protobuf import empty_pb2  # type: ignore[import-untyped]  # ships no types
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from local.provider import names, program, schemas
from local.provider.catalog import Catalog
from local.provider.changes import Change
from local.provider.kind import ATTRIBUTION, Kind, Scope, deletion_policy, label_faults
from local.provider.schemas import Fault
from local.provider.values import Properties, decode, encode, known, marked_like, plain
from local.wire import STATUS_NAMES, CloudError

log = logging.getLogger("local.provider")

# Inputs that the provider itself filled in, as the bridge that pulumi-gcp is built with marks them.
DEFAULTED = "__defaults"
CHANGES = provider_pb2.PropertyDiff
KINDS = {
    ("add", False): CHANGES.ADD, ("add", True): CHANGES.ADD_REPLACE,
    ("delete", False): CHANGES.DELETE, ("delete", True): CHANGES.DELETE_REPLACE,
    ("update", False): CHANGES.UPDATE, ("update", True): CHANGES.UPDATE_REPLACE,
}  # fmt: skip
# Of every provider's configuration, beside its own settings.
RESERVED = {"version", "pluginDownloadURL", "__internal"}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers for every package of `schemas.SDKS` on one port.

    Args:
        project: for a stack that names none, as GOOGLE_CLOUD_PROJECT would be taken.
    """

    def __init__(self, catalog: Catalog, project: str) -> None:
        self._catalog = catalog
        self._project = project
        # Every provider instance of a program has a connection of its own, and later calls name no instance.
        self._scopes: dict[str, Scope] = {}
        self._engines: dict[str, str] = {}

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        """The version of the plugin that this provider stands in for."""
        return plugin_pb2.PluginInfo(version=schemas.version("gcp"))

    def Handshake(self, request: Any, context: Any) -> provider_pb2.ProviderHandshakeResponse:
        """What the engine may send: secrets as such, and its own naming rules."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    def Attach(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Remember where the engine listens to what is to be said."""
        self._engines[context.peer()] = request.address
        return empty_pb2.Empty()

    def GetSchema(self, request: Any, context: Any) -> provider_pb2.GetSchemaResponse:
        """None: the SDK's own is used."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Refuse settings that the provider does not have."""
        with _errors(context):
            token = request.urn.split("::")[-2]
            given = {name: value for name, value in decode(request.news).items() if name not in RESERVED}
            return _checked(request.news, schemas.faults(token, given))

    def DiffConfig(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """Settings change in place; each resource says itself what that means for it."""
        with _errors(context):
            old, new = decode(request.old_inputs), decode(request.news)
            names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
            return _difference([Change(name, "update") for name in names], replace_first=False)

    def Configure(self, request: Any, context: Any) -> provider_pb2.ConfigureResponse:
        """Remember the settings for the calls of this connection."""
        with _errors(context):
            self._scopes[context.peer()] = self._scope(plain(decode(request.args)), context.peer())
            return provider_pb2.ConfigureResponse(
                acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
            )

    def Check(self, request: Any, context: Any) -> provider_pb2.CheckResponse:
        """Refuse what the type does not have, and name what has no name."""
        with _errors(context):
            token = _token(request.urn)
            kind = self._catalog.kind(token)
            inputs = decode(request.news)
            given = {name: value for name, value in inputs.items() if name != DEFAULTED}
            faults = list(schemas.faults(token, given))
            if "pulumiLabels" in schemas.outputs(token):  # the `labels` of a notification channel are its settings
                faults += label_faults(plain(given))
            if kind.named and kind.named not in given:
                given = {**given, kind.named: _name(request, kind)}
                inputs = {**given, DEFAULTED: [kind.named]}
            return _checked(encode(inputs), [*faults, *names.faults(token, plain(given)), *kind.faults(plain(given))])

    def Diff(self, request: Any, context: Any) -> provider_pb2.DiffResponse:
        """What changes, and whether that needs a new resource."""
        with _errors(context):
            kind = self._catalog.kind(_token(request.urn))
            old, new = decode(request.old_inputs), decode(request.news)
            named_by_us = kind.named in new.pop(DEFAULTED, [])
            old.pop(DEFAULTED, None)
            changes = kind.diff(old, new, decode(request.olds), self._scope_of(context))
            # A name that the program fixed is taken as long as the old resource is there.
            fixed = bool(kind.named) and not named_by_us and old.get(kind.named) == new.get(kind.named)
            return _difference(changes, replace_first=fixed)

    def Create(self, request: Any, context: Any) -> provider_pb2.CreateResponse:
        """Make a resource, or tell what it would be."""
        with _errors(context):
            kind, scope, inputs = self._asked(request.urn, request.properties, context)
            if request.preview:
                outputs = kind.planned(inputs, None, scope)
                return provider_pb2.CreateResponse(properties=encode(marked_like(outputs, inputs)))
            state = kind.create(plain(inputs), scope)
            outputs = marked_like(state.outputs, inputs)
            kind.record(state.id, outputs)
            return provider_pb2.CreateResponse(id=state.id, properties=encode(outputs))

    def Read(self, request: Any, context: Any) -> provider_pb2.ReadResponse:
        """What is there now, which may differ from what was declared; an empty answer when it is gone."""
        with _errors(context):
            kind, scope, outputs = self._asked(request.urn, request.properties, context)
            inputs = decode(request.inputs)
            defaulted = {name: inputs.pop(name) for name in (DEFAULTED,) if name in inputs}
            found = kind.read(request.id, plain(inputs), plain(outputs), scope)
            if found is None:
                kind.declared.remove(kind.type, request.id)  # the engine forgets it without another call
                return provider_pb2.ReadResponse()
            observed, state = found
            return provider_pb2.ReadResponse(
                id=state.id,
                inputs=encode({**marked_like(observed, inputs), **defaulted}),
                properties=encode(marked_like(marked_like(state.outputs, inputs), outputs)),
            )

    def Update(self, request: Any, context: Any) -> provider_pb2.UpdateResponse:
        """Change a resource in place, or tell what it would become."""
        with _errors(context):
            kind, scope, inputs = self._asked(request.urn, request.news, context)
            before, old = decode(request.olds), decode(request.old_inputs)
            old.pop(DEFAULTED, None)
            if request.preview:
                outputs = kind.planned(inputs, before, scope)
                return provider_pb2.UpdateResponse(properties=encode(marked_like(outputs, inputs)))
            made = kind.update(request.id, plain(old), plain(inputs), plain(before), scope)
            outputs = marked_like(made, inputs)
            kind.record(request.id, outputs)
            return provider_pb2.UpdateResponse(properties=encode(outputs))

    def Delete(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Remove a resource, unless it is protected or to be left alone."""
        with _errors(context):
            kind, scope, outputs = self._asked(request.urn, request.properties, context)
            kind.refuse_deletion(request.id, plain(outputs), scope)
            if deletion_policy(kind.type, plain(outputs), scope) != "ABANDON":
                kind.delete(request.id, plain(outputs), scope)
            kind.declared.remove(kind.type, request.id)
            return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> provider_pb2.InvokeResponse:
        """Call a function."""
        with _errors(context):
            function = self._catalog.function(request.tok)
            result = function(plain(decode(request.args)), self._scope_of(context))
            return provider_pb2.InvokeResponse(**{"return": encode(result)})

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Nothing runs long enough to be worth stopping."""
        return empty_pb2.Empty()

    def _asked(self, urn: str, properties: Any, context: Any) -> tuple[Kind, Scope, Properties]:
        given = decode(properties)
        given.pop(DEFAULTED, None)
        scope = replace(self._scope_of(context), say=lambda text: self._say(context.peer(), urn, text))
        return self._catalog.kind(_token(urn)), scope, given

    def _say(self, peer: str, urn: str, text: str) -> None:
        if address := self._engines.get(peer):
            with grpc.insecure_channel(address) as channel:
                request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn)
                try:
                    engine_pb2_grpc.EngineStub(channel).Log(request)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    # The engine has gone, or this port was an earlier engine's: what was done stays done.
                    log.info("nobody hears: %s", text)

    def _scope(self, settings: Mapping[str, Any], peer: str) -> Scope:
        labels = _parsed(settings.get("defaultLabels")) or {}
        attributed = str(settings.get("addPulumiAttributionLabel", "true")).lower() == "true"
        return Scope(
            project=str(settings.get("project") or self._project),
            region=str(settings.get("region") or ""),
            zone=str(settings.get("zone") or ""),
            labels={**(ATTRIBUTION if attributed else {}), **labels},
            deletion_policy=str(settings.get("deletionPolicy") or "DELETE"),
            # Once per connection: looking through all processes took most of a preview with 50 models (2026-11-22).
            program=functools.cache(lambda: program.folder_of(peer)),
            say=lambda _: None,
        )

    def _scope_of(self, context: Any) -> Scope:
        if context.peer() not in self._scopes:
            raise CloudError(400, "failedPrecondition", "This connection was never configured. Start pulumi again.")
        return self._scopes[context.peer()]


@contextlib.contextmanager
def _errors(context: Any) -> Iterator[None]:
    """Turn a refusal into the engine's diagnostic, and a bug of ours into one that names the log."""
    try:
        yield
    except CloudError as error:
        code = getattr(grpc.StatusCode, STATUS_NAMES.get(error.status, "UNKNOWN"))
        context.abort(code, error.message)
    except Exception as error:
        log.exception("the provider failed")
        text = f"The local cloud's provider has a bug; its log has the rest. {type(error).__name__}: {error}"
        context.abort(grpc.StatusCode.INTERNAL, text)


def _token(urn: str) -> str:
    """The type of a resource; its parents' types stand before it, joined by `$`."""
    return urn.split("::")[2].rpartition("$")[2]


def _name(request: Any, kind: Kind) -> str:
    """What the engine proposes, the name it had, or the logical name with seven random digits."""
    if request.HasField("autonaming"):
        mode = request.autonaming.mode
        if mode == provider_pb2.CheckRequest.AutonamingOptions.Mode.DISABLE:
            raise CloudError(400, "required", f"Automatic naming is off, so {kind.named!r} must be given.")
        if request.autonaming.proposed_name:
            return str(request.autonaming.proposed_name)
    before = decode(request.olds).get(kind.named)
    if before and known(before):
        return str(before)
    seed = request.randomSeed or secrets.token_bytes(16)  # the engine's own, so that preview and update agree
    return f"{request.urn.rpartition('::')[2].lower()}-{hashlib.sha256(seed).hexdigest()[:7]}"


def _checked(inputs: Any, faults: Any) -> provider_pb2.CheckResponse:
    # The engine would print a property's value, secret or not, so the place goes into the text.
    failures = [provider_pb2.CheckFailure(reason=f"{f.path}: {f.reason}") for f in list[Fault](faults)]
    return provider_pb2.CheckResponse(inputs=inputs, failures=failures)


def _difference(changes: list[Change], *, replace_first: bool) -> provider_pb2.DiffResponse:
    names = [change.path.partition(".")[0].partition("[")[0] for change in changes]
    replaces = sorted({name for name, change in zip(names, changes, strict=True) if change.replaces})
    detail = {c.path: provider_pb2.PropertyDiff(kind=KINDS[c.kind, c.replaces], inputDiff=True) for c in changes}
    return provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE,
        diffs=sorted(set(names)),
        replaces=replaces,
        detailedDiff=detail,
        hasDetailedDiff=True,
        deleteBeforeReplace=bool(replaces) and replace_first,
    )


def _parsed(value: Any) -> Any:
    """A setting that is no text arrives as JSON."""
    return json.loads(value) if isinstance(value, str) and value else value
