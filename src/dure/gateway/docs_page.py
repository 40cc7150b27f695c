"""The page at /docs, where endpoints can be read about and tried: Swagger UI, from files of an installed package.

Nothing of it is fetched from elsewhere, so it works where there is no internet; and all of it by where the page itself
is, so it works below a prefix, too.
"""

import mimetypes
import re
from pathlib import Path

from dure.deps import require
from dure.errors import EndpointNotFound
from dure.gateway.http_exchange import Exchange, to_json
from dure.gateway.openapi import document_of
from dure.gateway.router import Router

_PREFIX = re.compile(r"(?:/[\w.~%-]+)+", re.ASCII)
_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")

_PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dure: endpoints</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

_START = b"""SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null, tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"
});
"""

# Swagger UI sets styles on its elements, and has pictures in its style sheet.
_POLICY = b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_HEADERS = [(b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff")]


class DocsPage:
    """Serves the page and what belongs to it.

    Args:
        router: Whose endpoints are told of.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def serve(self, exchange: Exchange) -> None:
        """Answer for `/docs` and what is below it."""
        name = exchange.path.removeprefix("/docs").strip("/")
        if exchange.path == "/docs/":  # what the page names is beside it
            await exchange.answer(b"", status=307, headers=[(b"location", b"../docs")])
        elif name == "":
            await exchange.answer(_PAGE, content_type=b"text/html; charset=utf-8", headers=_HEADERS)
        elif name == "start.js":
            await exchange.answer(_START, content_type=b"text/javascript", headers=_HEADERS)
        elif name in _ASSETS:
            kind = (mimetypes.guess_type(name)[0] or "application/octet-stream").encode()
            folder = Path(require("swagger_ui_bundle", "http").swagger_ui_path)
            await exchange.answer((folder / name).read_bytes(), content_type=kind, headers=_HEADERS)
        else:
            raise EndpointNotFound(f"{exchange.path} is not there")

    async def describe(self, exchange: Exchange) -> None:
        """Answer with the OpenAPI document. Whoever hands requests on from below a prefix says so in a header."""
        prefix = exchange.headers.get(b"x-forwarded-prefix", b"").decode("latin-1")
        document = document_of(self._router)
        if _PREFIX.fullmatch(prefix):
            document["servers"] = [{"url": prefix}]
        await exchange.answer(to_json(document))
