//! Messages and what became of them.

use domicile_domain::usecase::PageRequest;
use domicile_proto::v1::{self, notification_service_server};
use tonic::{Request, Response, Status};

use super::{Services, call_of, refused};
use crate::convert;
#[tonic::async_trait]
impl notification_service_server::NotificationService for Services {
    async fn get_notification(
        &self,
        request: Request<v1::GetNotificationRequest>,
    ) -> Result<Response<v1::GetNotificationResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let fresh = convert::consistency(wire.consistency);
        let view = self
            .api
            .get_notification(&call, &wire.workspace, &wire.notification, &fresh)
            .await
            .map_err(refused(&call))?;
        Ok(Response::new(v1::GetNotificationResponse { notification: Some(convert::notification(view)) }))
    }

    async fn list_notifications(
        &self,
        request: Request<v1::ListNotificationsRequest>,
    ) -> Result<Response<v1::ListNotificationsResponse>, Status> {
        let call = call_of(request.extensions())?;
        let wire = request.into_inner();
        let page = PageRequest { size: wire.page_size, token: wire.page_token };
        let fresh = convert::consistency(wire.consistency);
        let page = self.api.list_notifications(&call, &wire.workspace, &page, &fresh).await.map_err(refused(&call))?;
        Ok(Response::new(v1::ListNotificationsResponse {
            notifications: page.items.into_iter().map(convert::notification).collect(),
            next_page_token: page.next_token,
        }))
    }
}
