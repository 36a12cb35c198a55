"""The operator's commands: show the state of every upload, and retry what failed.

Whatever asks a service raises ClientError or BotoCoreError (AWS), TransportError (the trigger's
clients) or PrefectUnreachableError if it refuses or does not answer; each command catches them
(`console.command_errors.UNAVAILABLE`), so docstrings name only other errors, and these where they say more.
"""
