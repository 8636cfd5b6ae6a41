"""Certificates for 127.0.0.1 that tests make for themselves."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Authority:
    """Somebody whose certificates clients trust."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self.client = ssl.create_default_context()
        """For clients that trust it."""
        self._authority.configure_trust(self.client)

    def issue(self, folder: Path) -> tuple[Path, Path]:
        """Write a fresh certificate and its key; the same paths every time."""
        issued = self._authority.issue_cert("localhost", "127.0.0.1")
        certificate, key = folder / "server.pem", folder / "server.key"
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        certificate.write_bytes(chain)
        issued.private_key_pem.write_to_path(key)
        return certificate, key
