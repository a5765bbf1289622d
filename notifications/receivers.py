"""Connects this app to the domain's two announcements; the only place where the two meet."""

from notifications import live, outbox, topic
from tasks_app.signals import task_changed, task_recorded

task_recorded.connect(outbox.plan, dispatch_uid="notifications.outbox")
task_changed.connect(live.on_task_changed, dispatch_uid="notifications.live")
task_changed.connect(topic.on_task_changed, dispatch_uid="notifications.topic")
