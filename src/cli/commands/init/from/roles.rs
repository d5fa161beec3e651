//! What a column may be, and how trackers call it.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Time,
    ReceivedAt,
    SentAt,
    EventId,
    AnonymousId,
    UserId,
    EventName,
    EventType,
    Url,
    Path,
    Title,
    Search,
    Referrer,
    CampaignSource,
    CampaignMedium,
    CampaignName,
    CampaignTerm,
    CampaignContent,
    Ip,
    UserAgent,
}

/// Every role with the names it goes by, the best first: small letters and digits alone.
/// Roles that stand first choose first.
pub(super) const ROLES: &[(Role, &[&str])] = &[
    (
        Role::Time,
        &[
            "timestamp", "tstamp", "derivedtstamp", "eventtimestamp", "eventtime", "ts",
            "occurredat", "happenedat", "eventtstamp", "eventdatetime", "originaltimestamp",
            "datetime", "time", "collectortstamp", "createdat", "clienttimestamp",
            "dvcecreatedtstamp", "receivedat", "date", "eventdate", "when",
        ],
    ),
    (
        Role::ReceivedAt,
        &[
            "receivedat", "collectortstamp", "servertime", "servertimestamp", "ingestedat",
            "ingesttime", "loadedat", "etltstamp", "loadtstamp",
        ],
    ),
    (
        Role::SentAt,
        &["sentat", "dvcesenttstamp", "clienttime", "dvcecreatedtstamp"],
    ),
    (
        Role::EventId,
        &[
            "messageid", "eventid", "pageviewid", "hitid", "insertid", "eventuuid", "uuid",
            "id",
        ],
    ),
    (
        Role::AnonymousId,
        &[
            "anonymousid", "anonid", "visitorid", "visitor", "domainuserid", "userpseudoid",
            "clientid", "cookieid", "deviceid", "distinctid", "fullvisitorid", "browserid",
            "networkuserid", "cookie", "device", "vid", "cid",
        ],
    ),
    (
        Role::UserId,
        &[
            "userid", "user", "customerid", "customer", "accountid", "memberid", "contactid",
            "contact", "personid", "person", "uid", "email", "username",
        ],
    ),
    (
        Role::EventName,
        &["event", "eventname", "eventaction", "action", "eventlabel", "name"],
    ),
    (Role::EventType, &["type", "eventtype", "hittype", "eventcategory"]),
    (
        Role::Url,
        &[
            "url", "pageurl", "pagelocation", "contextpageurl", "currenturl", "documentlocation",
            "location", "href", "requesturl", "page",
        ],
    ),
    (
        Role::Path,
        &[
            "path", "pagepath", "pageurlpath", "urlpath", "contextpagepath", "page", "request",
            "screen", "screenname",
        ],
    ),
    (Role::Title, &["title", "pagetitle", "contextpagetitle"]),
    (
        Role::Search,
        &["search", "pageurlquery", "contextpagesearch", "querystring"],
    ),
    (
        Role::Referrer,
        &[
            "referrer", "referer", "pagereferrer", "contextpagereferrer", "documentreferrer",
            "httpreferer", "ref",
        ],
    ),
    (
        Role::CampaignSource,
        &["utmsource", "contextcampaignsource", "campaignsource", "mktsource", "trafficsourcesource"],
    ),
    (
        Role::CampaignMedium,
        &["utmmedium", "contextcampaignmedium", "campaignmedium", "mktmedium", "trafficsourcemedium"],
    ),
    (
        Role::CampaignName,
        &[
            "utmcampaign", "contextcampaignname", "campaignname", "campaign", "mktcampaign",
            "trafficsourcename",
        ],
    ),
    (
        Role::CampaignTerm,
        &["utmterm", "contextcampaignterm", "campaignterm", "mktterm"],
    ),
    (
        Role::CampaignContent,
        &["utmcontent", "contextcampaigncontent", "campaigncontent", "mktcontent"],
    ),
    (
        Role::Ip,
        &["ip", "contextip", "ipaddress", "useripaddress", "remoteaddr", "clientip"],
    ),
    (
        Role::UserAgent,
        &["useragent", "contextuseragent", "ua", "httpuseragent", "browseruseragent"],
    ),
];

/// A name as the table above has it.
pub(super) fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_marks() {
        assert_eq!(plain("context.page_URL"), "contextpageurl");
        for (role, names) in ROLES {
            for name in *names {
                assert_eq!(plain(name), *name, "{role:?}");
            }
        }
    }
}
