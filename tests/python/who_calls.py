"""Calls Domicile as a company's services do: over TLS with a client certificate, with a token, or naming whom it acts for.

Run with one argument, JSON: `address`, `root` (PEM file) for TLS, `certificate` and `key` (PEM files) for a client
certificate, `token`, `acting_user`, `workspace`. It lists the roles of the workspace and prints them, or why it was refused.
"""

import json
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from domicile.v1 import role_service_pb2, role_service_pb2_grpc


def read(path):
    with open(path, "rb") as file:
        return file.read()


def channel_of(settings):
    """TLS where a root is given; the client certificate goes with it."""
    if "root" not in settings:
        return grpc.insecure_channel(settings["address"])
    certificate = settings.get("certificate")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=read(settings["root"]),
        private_key=read(settings["key"]) if certificate else None,
        certificate_chain=read(certificate) if certificate else None,
    )
    return grpc.secure_channel(settings["address"], credentials)


def metadata_of(settings):
    """What tells who calls, beside the certificate."""
    metadata = []
    if "token" in settings:
        metadata.append(("authorization", f"Bearer {settings['token']}"))
    if "acting_user" in settings:
        metadata.append(("x-domicile-acting-user", settings["acting_user"]))
    return metadata


def main(settings):
    roles = role_service_pb2_grpc.RoleServiceStub(channel_of(settings))
    request = role_service_pb2.ListRolesRequest(workspace=settings["workspace"])
    try:
        answer = roles.ListRoles(request, metadata=metadata_of(settings), timeout=5)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        if status is None:
            print("Broken", error.code().name, error.details())
            sys.exit(2)
        info = error_details_pb2.ErrorInfo()
        reason = next((info.reason for detail in status.details if detail.Unpack(info)), "")
        print("Refused", reason, status.message)
        sys.exit(1)
    print("Roles  ", " ".join(role.handle for role in answer.roles))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
