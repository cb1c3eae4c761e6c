"""An HTTP server over the library: OpenAI's interface, some of llama-server's, and a page to talk with the model.

    llama2swift serve model.gguf --port 8080

Needs `pip install llama2swift[server]` (FastAPI, uvicorn, prometheus-client). `create_app` gives the ASGI application for a server of
one's own. Nothing a request says is passed over: a field is followed, or refused by its name.
"""

from .app import create_app
from .serving import serve
from .settings import Settings

__all__ = ["Settings", "create_app", "serve"]
