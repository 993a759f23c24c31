"""Why a file could not be downloaded, in one line that says what to do."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def reason(error: Exception, address: str) -> str:
    """Say what stopped a download and what to do.

    Args:
        error: of huggingface_hub, of its client or of the system, with what caused it.
        address: where the file was asked for.

    Returns:
        A clause.
    """
    chain = list(_causes(error))
    names = {type(each).__name__ for each in chain}
    if "OfflineModeIsEnabled" in names:
        return "HF_HUB_OFFLINE forbids it; unset it once where there is a network"
    for each in chain:
        # What urllib calls a filename is the address.
        if isinstance(each, OSError) and each.errno and each.filename:
            return f"{each.filename}: {each.strerror}; name with HF_HOME a folder that can be written and has room"
    host = urlsplit(address).netloc
    status = next((found for each in chain if (found := _status(each))), None)
    page, hub, _ = address.partition("/resolve/")
    if status == 404 and "RepositoryNotFoundError" not in names:
        return f"{host} has no such file (404)"
    if status in (401, 403, 404):
        login = f"; log in with HF_TOKEN or hf auth login, and accept the terms at {page}" if hub else ""
        return f"{host} refuses it ({status}){login}"
    if "ProxyError" in names or status == 407 or (not status and _behind_proxy(address)):
        return f"the proxy in between failed ({_said(chain)}); see HTTPS_PROXY and NO_PROXY"
    return f"{f'{host} answered {status}' if status else f'no connection to {host} ({_said(chain)})'}; try again"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """Give the status of an HTTP answer: urllib's error has it, those of huggingface_hub have the response."""
    status = getattr(error, "code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _behind_proxy(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in getproxies() and not proxy_bypass(parts.hostname or "")


def _said(chain: list[BaseException]) -> str:
    """Give the last words of the innermost error."""
    words = " ".join(str(chain[-1]).split())
    return words if 0 < len(words) < 100 else type(chain[-1]).__name__
