"""For clients of httpx2, such as those of the anthropic SDK: what `penstock_pooling` offers for httpx."""

from penstock_pooling._http.httpx2 import PolicyTransport

__all__ = ["PolicyTransport"]
