"""Requests to one registry over HTTPS: certificates, accounts, tokens, time limits; every failure as a sentence.

Knows HTTP and how registries ask for who one is; does not know what is asked. Plain HTTP only on this machine.
Source: https://distribution.github.io/distribution/spec/auth/token/
"""

import base64
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from dure.deps import require
from dure.errors import HubError
from dure.hub.credentials import find_credentials
from dure.spec import is_loopback

if TYPE_CHECKING:
    import requests

_CONNECT_S = 10.0
_READ_S = 60.0
_REFUSED = (401, 403)


class Connection:
    """A session with one registry.

    Args:
        registry: `host[:port]`.

    Raises:
        MissingDependency: The extra `hub` is not installed.
        HubError: DURE_HUB_CA is no file of certificates.
    """

    def __init__(self, registry: str) -> None:
        self._requests = require("requests", "hub")
        self.registry = registry
        self._is_local = is_loopback(urlsplit(f"//{registry}").hostname or "")
        self._base = f"https://{registry}"
        self._session = self._requests.Session()
        self._session.auth = lambda request: request  # or requests would take what .netrc says over our own
        self._session.headers["Accept-Encoding"] = "identity"
        ca = os.environ.get("DURE_HUB_CA")
        if ca:
            self._session.mount("https://", _adapter(self._requests, ca))
        self._authorizations: dict[str, str] = {}

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def address(self, path: str) -> str:
        """Return the address of a path, or of what a registry gave as a location."""
        return urljoin(f"{self._base}/", path)

    def send(self, method: str, path: str, *, repository: str = "", **options: Any) -> "requests.Response":
        """Send a request and return the answer, whatever its status is; 401 and 403 are errors.

        Args:
            method: GET, PUT, …
            path: From the root, or a whole address.
            repository: For which access is asked.
            options: As `requests` has them: headers, data, stream, params.

        Raises:
            HubError: Nobody answers, the certificate is not trusted, or this account may not.
        """
        answer = self._once(method, path, repository, options)
        if answer.status_code == 401:
            answer.close()
            origin = self._authorize(answer, repository)
            if hasattr(options.get("data"), "seek"):
                options["data"].seek(0)
            answer = self._once(method, path, repository, options)
            if answer.status_code == 401:
                raise HubError(f"{self.registry} refuses {origin}. Log in again: docker login {self.registry}")
        if answer.status_code == 403:
            what = f"{repository or 'this'}"
            raise HubError(f"{self.registry}: this account may not {_verb(method)} {what}: {explanation(answer)}")
        return answer

    def _once(self, method: str, path: str, repository: str, options: dict[str, Any]) -> "requests.Response":
        headers = dict(options.get("headers") or {})
        address = self.address(path)
        known = self._authorizations.get(repository)
        if known and urlsplit(address).netloc == self.registry:  # never to where an upload was sent on to
            headers["Authorization"] = known
        return self._request(method, address, **{**options, "headers": headers})

    def _request(self, method: str, address: str, **options: Any) -> "requests.Response":
        if self._is_local:
            options["proxies"] = {"http": "", "https": ""}
        try:
            with self._told_as_hub_errors():
                answer: requests.Response = self._session.request(
                    method, address, timeout=(_CONNECT_S, _READ_S), **options
                )
                return answer
        except _NotTLS:
            if not self._is_local:
                raise HubError(
                    f"{self.registry} does not speak TLS, and without it anybody on the way could change what is"
                    " fetched: that is for registries on this machine only. Give the registry a certificate"
                ) from None
            self._base = f"http://{self.registry}"
            return self._request(method, address.replace("https://", "http://", 1), **options)

    @contextmanager
    def _told_as_hub_errors(self) -> Iterator[None]:
        kinds = self._requests.exceptions
        try:
            yield
        except kinds.SSLError as error:
            if any(word in str(error) for word in ("WRONG_VERSION_NUMBER", "record layer", "RECORD_LAYER")):
                raise _NotTLS from error
            raise HubError(
                f"{self.registry}: its certificate is not trusted: {_reason(error)}. If the registry has a CA of its"
                " own: export DURE_HUB_CA=ca.crt"
            ) from error
        except kinds.Timeout as error:
            raise HubError(f"{self.registry} does not answer in time. Is it up, and is this its port?") from error
        except (kinds.ConnectionError, kinds.ChunkedEncodingError) as error:
            raise HubError(
                f"no registry answers at {self.registry}: {_reason(error)}. Is it up, and is this its name and port?"
            ) from error
        except kinds.RequestException as error:
            raise HubError(f"{self.registry}: {_reason(error)}") from error

    def read(self, answer: "requests.Response", chunk_bytes: int = 2**20) -> Iterator[bytes]:
        """Yield the body of a streamed answer; one that breaks off is an error.

        Raises:
            HubError: The connection ended before the body did.
        """
        try:
            with self._told_as_hub_errors():
                yield from answer.iter_content(chunk_bytes)
        except HubError as error:
            raise HubError(f"{self.registry}: the answer broke off: {_reason(error.__cause__ or error)}") from error
        finally:
            answer.close()

    # -- who one is -------------------------------------------------------------------------------------------------

    def _authorize(self, answer: "requests.Response", repository: str) -> str:
        """Do what a 401 asks for; return whose account it is, for people."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        wanted = self._requests.utils.parse_dict_header(rest)
        credentials = find_credentials(self.registry)
        origin = (
            f"the user {credentials.user!r} of {credentials.origin}" if credentials else "requests without an account"
        )
        basic = f"Basic {_base64(f'{credentials.user}:{credentials.password}')}" if credentials else ""
        if scheme.lower() == "bearer":
            self._authorizations[repository] = f"Bearer {self._token(wanted, basic, origin)}"
        elif scheme.lower() == "basic" and basic:
            self._authorizations[repository] = basic
        else:
            raise HubError(
                f"{self.registry} wants to know who asks, and there is no account for it here. Log in: docker login"
                f" {self.registry}; or, for the registry of DURE_HUB, set DURE_HUB_USER and DURE_HUB_PASSWORD"
            )
        return origin

    def _token(self, wanted: dict[str, str], basic: str, origin: str) -> str:
        realm = wanted.get("realm", "")
        address = urlsplit(realm)
        if address.scheme != "https" and not (address.scheme == "http" and is_loopback(address.hostname or "")):
            raise HubError(
                f"{self.registry} sends us to {realm!r} for a token, which is no https address: not followed"
            )
        headers = {"Authorization": basic} if basic else {}
        params = {name: wanted[name] for name in ("service", "scope") if name in wanted}
        answer = self._request("GET", realm, headers=headers, params=params)
        if answer.status_code in _REFUSED:
            raise HubError(f"{address.netloc}, which {self.registry} trusts, refuses {origin}: {explanation(answer)}")
        try:
            told = answer.json()
            token = told.get("token") or told["access_token"]
        except (ValueError, KeyError, AttributeError) as error:
            raise HubError(f"{realm}: gave no token: {answer.status_code} {explanation(answer)}") from error
        return str(token)


class _NotTLS(Exception):
    """The other side speaks something else."""


def explanation(answer: "requests.Response") -> str:
    """Return what a registry says about a failure, for people."""
    try:
        errors = answer.json()["errors"]
        return "; ".join(str(one.get("message") or one["code"]) for one in errors)[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{answer.status_code} {answer.reason}"


def _adapter(requests: Any, ca: str) -> Any:
    """Trust a CA of one's own beside those that are trusted anyway."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise HubError(f"DURE_HUB_CA: {ca} is no PEM file of certificates: {error}") from error

    class Adapter(requests.adapters.HTTPAdapter):  # type: ignore[misc]  # known when it runs
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> Any:
            return super().init_poolmanager(*args, ssl_context=context, **kwargs)

    return Adapter()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _verb(method: str) -> str:
    return "read" if method in ("GET", "HEAD") else "write to"


def _reason(error: BaseException) -> str:
    """Return the innermost reason: libraries wrap it four times."""
    inner: Any = error
    while True:
        below = getattr(inner, "reason", None) or (inner.args[-1] if inner.args else None)
        if not isinstance(below, BaseException):
            break
        inner = below
    text = getattr(inner, "verify_message", "") or getattr(inner, "strerror", "") or str(inner)
    return str(text).rpartition("new connection: ")[2]
