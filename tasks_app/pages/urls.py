"""Pages for people."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from tasks_app.pages import views

app_name = "tasks"
urlpatterns = [
    path("dashboard/", views.dashboard, name="dashboard"),
    path("login/", LoginView.as_view(template_name="tasks_app/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
