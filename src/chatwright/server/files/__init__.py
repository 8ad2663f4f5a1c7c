"""Files that people upload, whole or in parts. Knows nothing of what is in them."""

from chatwright.server.files.files import Files
from chatwright.server.files.opening import open_files
from chatwright.server.files.uploads import Uploads

__all__ = ["Files", "Uploads", "open_files"]
