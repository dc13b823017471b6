"""An identity's account on the ledger, read from its certificate as the contracts read it: `MSP/common name`.

Whatever the folder is called that the certificate lies in, this is who has signed.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import NameOID
from quorumlearn_proto.accounts import NAME_IN_WORDS, is_name

from quorumlearn.gateway import CredentialError, Identity


def account_of(identity: Identity, where: str) -> str:
    """The account; CredentialError if the contracts would refuse the certificate. `where` names it in messages."""
    try:
        subject = x509.load_pem_x509_certificate(identity.certificate).subject
    except ValueError as error:
        raise CredentialError(f"{where}: the certificate cannot be read") from error
    names = [str(one.value) for one in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1:
        raise CredentialError(f"{where}: the certificate has {len(names)} common names, an account has one")
    for what, name in (("MSP id", identity.msp_id), ("common name", names[0])):
        if not is_name(name):
            raise CredentialError(f"{where}: the {what} {name!r} is no part of an account: {NAME_IN_WORDS}")
    return f"{identity.msp_id}/{names[0]}"
