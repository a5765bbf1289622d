"""What the OpenAPI document says of this room's operations. Components: tasks_app/api/v1/components.py."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view

from notifications.api import deliveries

extend_schema_view(
    get=extend_schema(
        operation_id="listTaskDeliveries", summary="Read a task's webhook deliveries", tags=["tasks"], request=None,
        parameters=[
            OpenApiParameter("task_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The task's id"),
            OpenApiParameter(
                "limit", {"type": "integer", "minimum": 1, "maximum": deliveries.MOST, "default": deliveries.PAGE},
                description="Rows of a page",
            ),
            OpenApiParameter("cursor", OpenApiTypes.STR, description="Opaque; follow `next` instead of making one"),
        ],
        responses={200: OpenApiResponse({"$ref": "#/components/schemas/DeliveryPage"}, description="Done")},
    )
)(deliveries.TaskDeliveries)  # fmt: skip
