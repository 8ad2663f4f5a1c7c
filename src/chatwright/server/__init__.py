"""The HTTP server: OpenAI's API for programs, accounts and conversations for the page.

Routes are thin: they check and call a service, which calls repositories. Every route declares a policy. Training runs
as separate processes: nothing here imports ``chatwright.train``.
"""
