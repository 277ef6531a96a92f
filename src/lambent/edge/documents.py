"""Documents of other servers that decide about tokens: small, quick to come, or not there at all."""

from __future__ import annotations

from lambent.edge.http_proxy import HttpProxy, ProxyError
from lambent.identity.signing_keys import Get, NoKeys

TIMEOUT_S = 5.0
DOCUMENT_BYTES = 1024 * 1024


def getter(proxy: HttpProxy) -> Get:
    """What `SigningKeys` asks issuers with."""

    async def get(url: str) -> bytes:
        try:
            response = await proxy.send("GET", url, [(b"accept", b"application/json")], b"", TIMEOUT_S)
        except ProxyError as error:
            raise NoKeys(str(error)) from None
        if response.status != 200:
            raise NoKeys(f"{url} answered {response.status}")
        if len(response.body) > DOCUMENT_BYTES:
            raise NoKeys(f"{url} answered more than {DOCUMENT_BYTES} bytes")
        return response.body

    return get
