"""The description of the API as a file: ``python -m chatwright.server.openapi_document > web/openapi.json``."""

import json
import sys

from chatwright.server.app import create_app
from chatwright.server.settings import ServerSettings


def openapi_document() -> str:
    """OpenAPI 3.1 as JSON, the same for every server of this version."""
    settings = ServerSettings.model_construct()  # no setting changes the routes
    return json.dumps(create_app(settings).openapi(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_document())
