"""How indexes are asked: a session with bounded retries, the machine's proxy and CA, and one TLS context for all."""

from pathlib import Path
from ssl import SSLContext
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import Retry
from urllib3.util.ssl_ import create_urllib3_context

from envgen.errors import UsageError
from envgen.settings import Settings

_RETRY_ON = (429, 500, 502, 503, 504)
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
"""requests knows the first and the last only; uv and most others know SSL_CERT_FILE."""


class _Adapter(HTTPAdapter):
    """Reads the CA certificates once; requests reads them for every connection, which takes longer than the handshake."""

    def __init__(self, context: SSLContext, connections: int) -> None:
        self._context = context
        retry = Retry(total=4, backoff_factor=0.3, status_forcelist=_RETRY_ON, allowed_methods=("GET",), raise_on_status=False)
        super().__init__(pool_maxsize=connections, max_retries=retry, pool_block=True)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context, "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The context has it all; what requests would set here makes every connection read the certificates again."""


def make_session(settings: Settings, connections: int) -> requests.Session:
    """A session that so many threads may use at once. Raises UsageError for CA certificates that can't be read."""
    session = requests.Session()
    adapter = _Adapter(_context(settings), connections)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


def _context(settings: Settings) -> SSLContext:
    variable = next((name for name in _CA_VARIABLES if settings.network.get(name)), "")
    bundle = settings.network.get(variable) or DEFAULT_CA_BUNDLE_PATH
    context = create_urllib3_context()
    try:
        if Path(bundle).is_dir():
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(cafile=bundle)
    except OSError as error:
        raise UsageError(variable, f"found {bundle}, which holds no CA certificates: {error.strerror or error}") from error
    return context
