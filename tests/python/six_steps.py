"""Finds a person, creates or links them, gives roles, saves, and looks at the message: the six steps from Python.

Stubs are generated once from the contract:

    pip install grpcio grpcio-tools grpcio-status
    python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/domicile/v1/*.proto

Run with the address of the service, the token of the calling service and the acting AccessManager's user id.
"""

import sys
import uuid

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from domicile.v1 import (
    membership_service_pb2 as membership,
    membership_service_pb2_grpc,
    notification_service_pb2 as notification,
    notification_service_pb2_grpc,
    user_service_pb2 as user,
    user_service_pb2_grpc,
)


def reason_of(error):
    """The stable reason of a refused call, its facts, and the wrong fields with their mends."""
    reason, facts, fields = "", {}, {}
    for detail in rpc_status.from_call(error).details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, facts = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            fields = {field.field: field.description for field in bad.field_violations}
    return reason, facts, fields


class Domicile:
    """The calls of one workspace, made for one acting person."""

    def __init__(self, address, token, acting_user, workspace):
        channel = grpc.insecure_channel(address)
        self.users = user_service_pb2_grpc.UserServiceStub(channel)
        self.members = membership_service_pb2_grpc.MembershipServiceStub(channel)
        self.notices = notification_service_pb2_grpc.NotificationServiceStub(channel)
        self.metadata = (("authorization", f"Bearer {token}"), ("x-domicile-acting-user", acting_user))
        self.workspace = workspace

    def lookup(self, email="", phone=""):
        """Steps 1 and 2: has anybody in the whole system this contact?"""
        request = user.LookupUserRequest(workspace=self.workspace, email=email, phone=phone)
        return self.users.LookupUser(request, metadata=self.metadata, timeout=2)

    def assign(self, email, found, profile=None, roles=()):
        """Steps 3 to 6: creates an Internal, or links whom the lookup found, gives roles, saves and tells."""
        creates = found.outcome == user.LOOKUP_OUTCOME_NOT_FOUND
        request = membership.AssignUserRequest(
            workspace=self.workspace,
            # Keep it, and a call whose answer was lost can be repeated safely.
            request_id=str(uuid.uuid4()),
            expectation=membership.EXPECTATION_CREATE if creates else membership.EXPECTATION_LINK,
            email=email,
            match_handle=found.match_handle,
            profile=profile,
        )
        (request.internal if creates else request.external).roles.extend(roles)
        return self.members.AssignUser(request, metadata=self.metadata, timeout=10)

    def message(self, saved):
        """What became of the message that a save queued."""
        workspace, name = self.workspace, saved.notification.rsplit("/", 1)[-1]
        request = notification.GetNotificationRequest(workspace=workspace, notification=name)
        return self.notices.GetNotification(request, metadata=self.metadata, timeout=2).notification


def main(address, token, acting_user, workspace, email, role):
    domicile = Domicile(address, token, acting_user, workspace)
    found = domicile.lookup(email=email)
    print("Found  ", user.LookupOutcome.Name(found.outcome), found.display)
    profile = membership.Profile(
        first_name="Anna", last_name="Kovács", username="anna.kovacs", preferred_language="hu"
    )
    try:
        saved = domicile.assign(email, found, profile=profile, roles=[role])
    except grpc.RpcError as error:
        reason, facts, fields = reason_of(error)
        print("Refused", reason, facts, fields)
        sys.exit(1)
    print("Saved  ", membership.AssignOutcome.Name(saved.outcome), saved.membership.name)
    print("Message", notification.NotificationState.Name(domicile.message(saved).state))


if __name__ == "__main__":
    main(*sys.argv[1:])
