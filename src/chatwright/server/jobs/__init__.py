"""Fine-tuning jobs: checked, trained by a process of their own, watched over, and served when they are done.

This room writes recipes and starts ``chatwright train``; it knows nothing of how training works.
"""

from chatwright.server.jobs.jobs import Jobs
from chatwright.server.jobs.opening import open_jobs

__all__ = ["Jobs", "open_jobs"]
