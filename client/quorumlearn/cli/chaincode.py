"""`quorumlearn chaincode`: what a Fabric network that exists is given of the market's chaincode: a package, policies, commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from pydantic import ValidationError
from quorumlearn_network.agreement import CONFIG_DIGEST, render_agreements
from quorumlearn_network.package import ADDRESS, chaincode_package, package_id
from quorumlearn_network.spec import ChaincodeSpec, render_policy
from quorumlearn_proto import canonical

from quorumlearn.cli.configuration import read_configuration, spec_of
from quorumlearn.cli.terminal import EXIT_CODES, AsJson, Exit, Failure, print_json, print_text
from quorumlearn.gateway.credentials import read_file

app = typer.Typer(
    no_args_is_help=True,
    help="Bring the market's chaincode onto a Fabric network that exists (docs/fabric.md).",
)

Name = Annotated[str, typer.Option("--name", help="The chaincode's name on the channel.")]
Version = Annotated[str, typer.Option("--version", help="A name for this version of it.")]
Address = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Where the peer finds the service. {{.NAME}} is filled in by each peer's CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG, so "
        "that all organisations have one package.",
    ),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", metavar="FILE", help="The authority of the service's TLS certificate; without it no TLS."
    ),
]


@app.command(epilog=f"Example: quorumlearn chaincode package -o quorumlearn.tar.gz.  {EXIT_CODES}")
def package(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")] = Path(
        "quorumlearn.tar.gz"
    ),
    name: Name = "quorumlearn",
    version: Version = "1.0",
    address: Address = ADDRESS,
    tls_ca: TlsCa = None,
    as_json: AsJson = False,
) -> None:
    """Write the package that `peer lifecycle chaincode install` takes, and print its id. The same options give the same bytes."""
    chaincode, root = _chaincode(name, version), _authority(tls_ca)
    output.write_bytes(chaincode_package(chaincode, address, root))
    found = package_id(chaincode, address, root)
    if as_json:
        print_json({"package": str(output), "package_id": found})
    else:
        print_text(found)


@app.command(epilog=f"Example: quorumlearn chaincode policy market.yaml --channel mychannel.  {EXIT_CODES}")
def policy(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="The market's configuration, or a network's description."),
    ],
    channel: Annotated[str, typer.Option(help="The channel.")] = "quorumlearn",
    name: Name = "quorumlearn",
    version: Version = "1.0",
    sequence: Annotated[int, typer.Option(min=1, help="Of the chaincode's definition; 1 for a new one.")] = 1,
    address: Address = ADDRESS,
    tls_ca: TlsCa = None,
    as_json: AsJson = False,
) -> None:
    """Print the endorsement policy, the digest that each organisation starts its chaincode with, and the commands that install it.

    It also prints which policies the channel needs, so that nobody can replace the chaincode past the verifiers.
    """
    read = read_configuration(config)
    try:
        spec = spec_of(read, name, version, sequence)
    except ValidationError as error:
        raise Failure(
            f"{config}: {error.errors()[0]['msg'].removeprefix('Value error, ')}", Exit.USAGE
        ) from error
    rule, agreements = render_policy(spec), render_agreements(spec)
    identified = package_id(spec.chaincode, address, _authority(tls_ca))
    service = {"CHAINCODE_ID": identified, CONFIG_DIGEST: canonical.digest(read)}
    definition = (
        f"--channelID {channel} --name {name} --version {version} --sequence {sequence} "
        f'--signature-policy "{rule}"'
    )
    orderer = '-o "$ORDERER" --tls --cafile "$ORDERER_CA"'
    commands = {
        "install": f"peer lifecycle chaincode install {name}.tar.gz",
        "approve": f"peer lifecycle chaincode approveformyorg {orderer} {definition} --package-id {identified}",
        "ready": f"peer lifecycle chaincode checkcommitreadiness {definition}",
        "commit": f'peer lifecycle chaincode commit {orderer} {definition} "${{PEERS[@]}}"',
    }
    if as_json:
        fields = {"endorsement_policy": rule, "channel_policies": agreements, "service": service}
        print_json({**fields, "commands": commands})
        return
    print_text(f"# endorsement policy: {rule}")
    print_text("\n# policies of the channel's application section (configtx.yaml, Application: Policies:)")
    for policy_name, one in agreements.items():
        print_text(f'#   {policy_name}: {{Type: Signature, Rule: "{one}"}}')
    print_text("\n# every organisation starts its chaincode service with")
    for variable, value in service.items():
        print_text(f"export {variable}={value}")
    print_text("\n# every organisation, as its administrator")
    print_text(commands["install"])
    print_text(commands["approve"])
    print_text(
        "\n# one of them, when enough have approved; PEERS=(--peerAddresses HOST:PORT --tlsRootCertFiles FILE ...)"
    )
    print_text(commands["ready"])
    print_text(commands["commit"])


def _chaincode(name: str, version: str) -> ChaincodeSpec:
    try:
        return ChaincodeSpec(name=name, version=version, quorum=1)
    except ValidationError as error:
        first = error.errors()[0]
        raise Failure(
            f"--{first['loc'][0]} {first['input']!r} is no {first['loc'][0]} that Fabric takes", Exit.USAGE
        ) from error


def _authority(path: Path | None) -> str:
    if path is None:
        return ""
    pem = read_file(path)
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Failure(f"--tls-ca {path} is no certificate in PEM", Exit.USAGE) from None
    return pem.decode()
