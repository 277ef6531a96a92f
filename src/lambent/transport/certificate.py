"""The certificate that a region makes for itself: one file that clients trust, one key that only its owner reads.

Imported at the first need: what makes certificates takes longer to import than to use.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lambent.transport.tls_context import server_context

LIFETIME = datetime.timedelta(days=820)
#: Made anew when it has less than this to live, so that a region that runs on does not outlive it soon.
LEAST_LEFT = datetime.timedelta(days=60)


def own_context(folder: Path, names: Sequence[str], now: datetime.datetime) -> ssl.SSLContext:
    """The certificate in `folder` for exactly `names` (host names and addresses), made where there is none."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not _is_good(certificate, key, names, now):
        folder.mkdir(mode=0o711, exist_ok=True)
        _make(certificate, key, names, now)
    return server_context(certificate, key)


def _is_good(certificate: Path, key: Path, names: Sequence[str], now: datetime.datetime) -> bool:
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        alternatives = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        server_context(certificate, key)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return list(alternatives) == _general_names(names) and read.not_valid_after_utc - now > LEAST_LEFT


def _make(certificate: Path, key: Path, names: Sequence[str], now: datetime.datetime) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(secret.public_key())
    # No authority: whoever trusts this certificate trusts this server, and nothing that its key could sign.
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(secret, hashes.SHA256())
    )
    _write(
        key,
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        mode=0o600,
    )
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Whole or not at all: a crash in between leaves a pair that does not fit, and that is made anew."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
