"""What somebody may do: the permissions of the user, and for a token no more than its scopes.

A *member* creates tasks and manages their own; a *viewer* sees every task; an *operator* sees and manages every task.
These roles are Django groups made after migrate. Everybody sees their own tasks.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.models import Group, Permission, User

from tasks_app.models import Task, TaskQuerySet

SCOPES = {
    "tasks:read": "Read tasks, their history and deliveries, and the kinds",
    "tasks:write": "Create, change, cancel and delete tasks",
    "webhooks:read": "Read webhook deliveries and events",
    "webhooks:write": "Replay and change webhooks",
    "tokens:read": "List your API tokens",
    "tokens:write": "Make API tokens that may no more than this one, and revoke yours",
    "admin": "Reach other people's tasks too, as far as the owner of the token may",
}
ROLES = {
    "viewer": ["tasks_app.view_task", "tasks_app.view_taskevent"],
    "member": ["tasks_app.add_task"],
    "operator": [
        "tasks_app.add_task", "tasks_app.view_task", "tasks_app.change_task", "tasks_app.delete_task",
        "tasks_app.view_taskevent", "tasks_app.view_apitoken", "tasks_app.view_quarantinedmessage",
        "notifications.view_event", "notifications.view_delivery", "notifications.view_deliveryattempt",
        "notifications.view_endpoint", "notifications.change_endpoint", "notifications.view_endpointevent",
        "notifications.view_replay",
    ],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Access:
    """One person or program at one door. `scopes` is None where the user alone decides (sessions, the built-in user).

    `expires_at` is the token's; None: no end."""

    user: Any
    door: str
    scopes: frozenset[str] | None = None
    expires_at: datetime | None = None

    @property
    def who(self) -> str:
        """As the history writes it."""
        return f"{self.door}:{self.user.get_username()}"

    def has(self, scope: str) -> bool:
        """Whether the credentials used cover `scope`."""
        return self.scopes is None or scope in self.scopes

    @property
    def may_create(self) -> bool:
        return bool(self.has("tasks:write") and self.user.has_perm("tasks_app.add_task"))

    def may_any(self, action: str) -> bool:
        """Whether it may view, change or delete tasks that are not its own."""
        return bool(self.has("admin") and self.user.has_perm(f"tasks_app.{action}_task"))

    def may(self, action: str, task: Task) -> bool:
        """Whether it may view, change or delete this task."""
        if action != "view" and not self.has("tasks:write"):
            return False
        own = task.owner_id == self.user.pk and (action == "view" or self.user.has_perm("tasks_app.add_task"))
        return bool(own or self.may_any(action))

    def tasks(self) -> TaskQuerySet:
        """The tasks it may see."""
        return Task.objects.all() if self.may_any("view") else Task.objects.filter(owner_id=self.user.pk)


def make_roles(app_config: AppConfig, using: str, **_: Any) -> None:
    """The groups exist after every migrate. Permissions are added, never taken away: operators may extend a role."""
    if app_config.label not in {name.split(".")[0] for names in ROLES.values() for name in names}:
        return  # sent once for each app; the permissions of one exist from its own turn on
    for role, names in ROLES.items():
        group, _made = Group.objects.using(using).get_or_create(name=role)
        for app, codename in (name.split(".") for name in names):
            found = Permission.objects.using(using).filter(content_type__app_label=app, codename=codename)
            group.permissions.add(*found)
    local = User.objects.using(using).filter(username="local").first()
    if local is not None:
        local.groups.add(Group.objects.using(using).get(name="member"))
