//! Google Analytics 4's default channel groups for manual traffic, all of them, in its order.
//! See <https://support.google.com/analytics/answer/9756891>.

/// The kind of site that a source is: GA4's lists of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Search,
    Social,
    Video,
    Shopping,
    Email,
    AiAssistant,
}

impl Class {
    pub(super) const NAMES: &str = "search, social, video, shopping, email, ai_assistant";

    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "search" => Self::Search,
            "social" => Self::Social,
            "video" => Self::Video,
            "shopping" => Self::Shopping,
            "email" => Self::Email,
            "ai_assistant" => Self::AiAssistant,
            _ => return None,
        })
    }
}

const DISPLAY: [&str; 5] = ["display", "banner", "expandable", "interstitial", "cpm"];
const SOCIAL: [&str; 6] = [
    "social",
    "social-network",
    "social-media",
    "sm",
    "social network",
    "social media",
];
const EMAIL: [&str; 4] = ["email", "e-mail", "e_mail", "e mail"];

/// The channel of a visit. Source, medium and campaign are in lower case; `class` is that
/// of the source. The first group that fits is the one.
pub(super) fn channel(
    source: &str,
    medium: &str,
    campaign: &str,
    class: Option<Class>,
) -> &'static str {
    let is = |kind| class == Some(kind);
    let is_shopping = is(Class::Shopping) || names_a_shop(campaign);
    let paid = is_paid(medium);
    if source == "(direct)" && matches!(medium, "(none)" | "(not set)") {
        "Direct"
    } else if campaign.contains("cross-network") {
        "Cross-network"
    } else if paid && is_shopping {
        "Paid Shopping"
    } else if paid && is(Class::Search) {
        "Paid Search"
    } else if paid && is(Class::Social) {
        "Paid Social"
    } else if paid && is(Class::Video) {
        "Paid Video"
    } else if DISPLAY.contains(&medium) {
        "Display"
    } else if paid {
        "Paid Other"
    } else if is_shopping {
        "Organic Shopping"
    } else if is(Class::Social) || SOCIAL.contains(&medium) {
        "Organic Social"
    } else if is(Class::Video) || medium.contains("video") {
        "Organic Video"
    } else if is(Class::Search) || medium == "organic" {
        "Organic Search"
    } else {
        unsold(source, medium, class)
    }
}

/// The groups after the searches.
fn unsold(source: &str, medium: &str, class: Option<Class>) -> &'static str {
    if EMAIL.contains(&source) || EMAIL.contains(&medium) {
        "Email"
    } else if matches!(medium, "affiliate" | "affiliates") {
        "Affiliates"
    } else if matches!(medium, "referral" | "app" | "link") {
        "Referral"
    } else if medium == "audio" {
        "Audio"
    } else if source == "sms" || medium == "sms" {
        "SMS"
    } else if medium.ends_with("push")
        || medium.contains("mobile")
        || medium.contains("notification")
        || source == "firebase"
    {
        "Mobile Push Notifications"
    } else if medium == "ai-assistant" || class == Some(Class::AiAssistant) {
        "AI Assistant"
    } else {
        "Unassigned"
    }
}

/// GA4's `^(.*cp.*|ppc|retargeting|paid.*)$`.
fn is_paid(medium: &str) -> bool {
    medium.contains("cp")
        || medium.starts_with("paid")
        || matches!(medium, "ppc" | "retargeting")
}

/// GA4's `^(.*(([^a-df-z]|^)shop|shopping).*)$`: `shop` begins the name or follows no letter
/// but `e`.
fn names_a_shop(campaign: &str) -> bool {
    let begins = |at: usize| match campaign[..at].chars().next_back() {
        Some(before) => before == 'e' || !before.is_ascii_lowercase(),
        None => true,
    };
    campaign.contains("shopping")
        || campaign.match_indices("shop").any(|(at, _)| begins(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shops_in_names() {
        for (campaign, expected) in [
            ("shop", true),
            ("my shop", true),
            ("eshop", true),
            ("spring_shop", true),
            ("windowshopping", true),
            ("workshop", false),
            ("bishop shop", true),
            ("üshop", true),
            ("", false),
        ] {
            assert_eq!(names_a_shop(campaign), expected, "{campaign}");
        }
    }
}
