//! By which channel a person is told, and in which language.

use crate::model::language::LanguageTag;
use crate::model::notice::{Channel, LanguageChoice};
use crate::model::user::Person;
use crate::model::workspace::Workspace;

/// Decides how a person is told.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait NoticePolicy: Send + Sync {
    /// The channel of the first attempt.
    fn channel(&self, home: &Workspace, person: &Person) -> Channel;

    /// The languages to try, in order, each with why. The first that has a text serves for the whole message.
    fn languages(
        &self,
        membership: Option<LanguageTag>,
        person: &Person,
        home: &Workspace,
        instance: &LanguageTag,
    ) -> Vec<(LanguageTag, LanguageChoice)>;
}

/// The shipped rule: the home's channel order as far as the person has contacts; language of the membership, then
/// preferred, then the home's, then the instance's.
#[derive(Debug, Clone, Copy)]
pub struct ShippedNoticePolicy;

impl NoticePolicy for ShippedNoticePolicy {
    fn channel(&self, home: &Workspace, person: &Person) -> Channel {
        let reachable = |channel: &Channel| match channel {
            Channel::Email => true,
            Channel::Sms => person.phone.is_some(),
        };
        home.notices.channels.iter().copied().find(reachable).unwrap_or(Channel::Email)
    }

    fn languages(
        &self,
        membership: Option<LanguageTag>,
        person: &Person,
        home: &Workspace,
        instance: &LanguageTag,
    ) -> Vec<(LanguageTag, LanguageChoice)> {
        membership
            .map(|language| (language, LanguageChoice::Membership))
            .into_iter()
            .chain([
                (person.preferred_language.clone(), LanguageChoice::Preferred),
                (home.default_language.clone(), LanguageChoice::HomeDefault),
                (instance.clone(), LanguageChoice::InstanceDefault),
            ])
            .collect()
    }
}
