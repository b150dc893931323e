"""A certificate authority of the test's own, and certificates for loopback."""

from __future__ import annotations

import datetime
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, text)])


class Authority:
    """`file` is what clients trust."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed(self._key.public_key(), authority=True)
        self.file = folder / "ca.crt"
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        self.file.write_bytes(self.pem)

    def issue(self, folder: Path) -> int:
        """Write `tls.crt` and `tls.key` as the kubelet does, one link for both; returns the serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(key.public_key(), authority=False)
        version = folder / f"..{certificate.serial_number}"
        version.mkdir(parents=True)
        (version / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        form = serialization.PrivateFormat.PKCS8
        plain = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (version / "tls.key").write_bytes(plain)
        fresh = folder / "..data_tmp"
        fresh.symlink_to(version.name)
        os.replace(fresh, folder / "..data")
        for name in ("tls.crt", "tls.key"):
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        return certificate.serial_number

    def _signed(self, public: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        return (
            x509.CertificateBuilder()
            .subject_name(_name("authority" if authority else "server"))
            .issuer_name(_name("authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
