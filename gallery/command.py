"""`echodrop gallery`: serves the gallery of an output bucket or folder on this machine."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from gallery.server import GalleryServer
from operations.catalog.places import place_at
from operations.catalog.reading import load_state
from operations.console.command_errors import UNAVAILABLE, print_error
from operations.console.options import Output, Stack, output_root


def gallery(
    place: Output = None,
    *,
    port: Annotated[int, typer.Option(help="Port; 0 is a free one.", min=0, max=65535)] = 0,
    opens: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    anonymous: Annotated[
        bool, typer.Option("--anon", help="Read a public bucket without credentials.")
    ] = False,
    stack: Stack = None,
) -> int:
    """Show the outputs in a browser: maps, echograms, quality. New ones appear by themselves.

    Reads with your credentials, writes nothing, and is reachable from this machine alone, with the token
    in the printed address. Ctrl-C ends it.
    """
    named = place
    try:
        named = output_root(place, stack)
        found = place_at(named, {"anon": True} if anonymous else {})
        # A bucket that can't be read is named here, not in the browser.
        load_state(found)
        server = GalleryServer(found, port, token=os.environ.get("ECHODROP_GALLERY_TOKEN"))
    except (ClientError, BotoCoreError) as error:
        return print_error(OSError(f"{named}: {error}"))
    except (ValueError, *UNAVAILABLE) as error:
        return print_error(error)
    sys.stdout.write(f"Gallery of {found.uri}: {server.url}\n")
    sys.stdout.flush()
    if opens:
        webbrowser.open(server.url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.stdout.write("Stopped.\n")
    finally:
        server.server_close()
    return 0
