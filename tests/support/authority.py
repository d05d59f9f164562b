"""A certificate authority of a test, and the certificates of the servers that it vouches for."""

from pathlib import Path

import trustme


class Authority:
    """Keeps its files in one folder. `certificate` is what those who trust it need."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.certificate = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.certificate))

    def vouch(self, host: str) -> tuple[Path, Path]:
        """The files of a new certificate with its chain, and of its key, for a DNS name or an address."""
        issued = self._ca.issue_cert(host)
        chain, key = (self._folder / f"{host}.{kind}.pem" for kind in ("chain", "key"))
        chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return chain, key
