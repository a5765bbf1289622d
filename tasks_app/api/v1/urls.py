"""The product's own API. No trailing slashes."""

from django.urls import path

from tasks_app.api.v1 import docs, events, kinds, schema, tasks, tokens

app_name = "v1"
urlpatterns = [
    path("tasks", tasks.TaskList.as_view(), name="tasks"),
    path("tasks/batch", tasks.TaskBatch.as_view(), name="batch"),
    path("tasks/<str:task_id>", tasks.TaskDetail.as_view(), name="task"),
    path("tasks/<str:task_id>/complete", tasks.TaskComplete.as_view(), name="complete"),
    path("tasks/<str:task_id>/cancel", tasks.TaskCancel.as_view(), name="cancel"),
    path("tasks/<str:task_id>/reopen", tasks.TaskReopen.as_view(), name="reopen"),
    path("tasks/<str:task_id>/rerun", tasks.TaskRerun.as_view(), name="rerun"),
    path("tasks/<str:task_id>/events", events.TaskEvents.as_view(), name="events"),
    path("kinds", kinds.KindList.as_view(), name="kinds"),
    path("kinds/<str:kind>", kinds.KindDetail.as_view(), name="kind"),
    path("tokens", tokens.TokenList.as_view(), name="tokens"),
    path("tokens/<str:token_id>", tokens.TokenDetail.as_view(), name="token"),
    path("me", tokens.Me.as_view(), name="me"),
    path("schema", schema.Schema.as_view(), name="schema"),
    path("docs", docs.docs, name="docs"),
]
