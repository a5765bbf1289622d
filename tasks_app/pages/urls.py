"""Pages for people."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from tasks_app.pages import bulk, chart, new, task, tokens, views

app_name = "tasks"
urlpatterns = [
    path("dashboard/", views.dashboard, name="dashboard"),
    path("dashboard", views.without_slash),
    path("dashboard/bulk", bulk.ask, name="bulk"),
    path("dashboard/bulk/act", bulk.act, name="bulk_act"),
    path("dashboard/chart", chart.last_hour, name="chart"),
    path("dashboard/new", new.new_task, name="new"),
    path("dashboard/suggestions", views.suggest, name="suggestions"),
    path("dashboard/system", views.state, name="system"),
    path("dashboard/samples", views.samples, name="samples"),
    path("dashboard/tasks/<uuid:task_id>/", task.detail, name="detail"),
    path("dashboard/tasks/<uuid:task_id>/rerun", task.rerun, name="rerun"),
    path("dashboard/tasks/<uuid:task_id>/delete", views.delete, name="delete"),
    path("dashboard/tasks/<uuid:task_id>/watch", task.watch, {"is_on": True}, name="watch"),
    path("dashboard/tasks/<uuid:task_id>/unwatch", task.watch, {"is_on": False}, name="unwatch"),
    path("dashboard/tasks/<uuid:task_id>/<slug:verb>", views.change, name="change"),
    path("dashboard/tokens/", tokens.token_list, name="tokens"),
    path("dashboard/tokens/<int:token_id>/revoke", tokens.revoke, name="revoke_token"),
    path(
        "login/",
        LoginView.as_view(template_name="tasks_app/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
]
