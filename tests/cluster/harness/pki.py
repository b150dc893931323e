"""Certificates of one cluster: its own authority, a certificate per program, kubeconfigs with everything embedded.

Keys are P-256 throughout (the service account key too). Made anew for each cluster, valid for a year, never reused,
never installed anywhere.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import ipaddress
import json
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

_VALID = datetime.timedelta(days=365)
_CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> None:
        (folder / f"{name}.crt").write_bytes(self.certificate)
        write_secret(folder / f"{name}.key", self.key)


class Authority:
    """A certificate authority that lives as long as the cluster."""

    def __init__(self, *, now: datetime.datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("seatrial-test-cluster", organization=None)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = self._builder(self._name, self._key).add_extension(usage, critical=True)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.credentials = Credentials(_pem(builder.sign(self._key, hashes.SHA256())), private_pem(self._key))

    def issue(self, common_name: str, *, organization: str | None = None, names: Sequence[str] = ()) -> Credentials:
        """A certificate for client and server use; `names` are DNS names or IP addresses it may serve."""
        key = ec.generate_private_key(ec.SECP256R1())
        both = [oid.ExtendedKeyUsageOID.CLIENT_AUTH, oid.ExtendedKeyUsageOID.SERVER_AUTH]
        builder = self._builder(_subject(common_name, organization=organization), key)
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        return Credentials(_pem(builder.sign(self._key, hashes.SHA256())), private_pem(key))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=self._now - _CLOCK_SKEW,
            not_valid_after=self._now + _VALID,
        )


def kubeconfig(*, server: str, authority: Credentials, user: Credentials) -> str:
    """A kubeconfig (JSON, which is YAML) with embedded data: it can be copied anywhere."""
    cluster = {"server": server, "certificate-authority-data": _b64(authority.certificate)}
    client = {"client-certificate-data": _b64(user.certificate), "client-key-data": _b64(user.key)}
    context = {"cluster": "seatrial", "user": "seatrial"}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "seatrial", "cluster": cluster}],
            "users": [{"name": "seatrial", "user": client}],
            "contexts": [{"name": "seatrial", "context": context}],
            "current-context": "seatrial",
        },
        indent=1,
    )


def service_account_key() -> tuple[bytes, bytes]:
    """(private, public) PEM of the key that signs service account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private_pem(key), public


def client_context(folder: Path, name: str) -> ssl.SSLContext:
    """TLS settings to call the API server as the user `name`."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


def write_secret(path: Path, content: bytes) -> None:
    """Readable by the owner only, from the first byte on."""
    path.touch(mode=0o600)
    path.write_bytes(content)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _subject(common_name: str, *, organization: str | None) -> x509.Name:
    parts = [x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
