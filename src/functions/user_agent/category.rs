//! Which kind of device a string that is no bot comes from.

/// Consoles, watches, glasses and speakers: none of the kinds that have a name.
const OTHER: [&str; 9] = [
    "playstation",
    "xbox",
    "nintendo",
    "watchos",
    "apple watch",
    "oculusbrowser",
    "steam deck",
    "devicetype/smartspeaker",
    "tesla/",
];

const TV: [&str; 25] = [
    "smart-tv",
    "smarttv",
    "smart tv",
    "hbbtv",
    "appletv",
    "apple tv",
    "tvos",
    "googletv",
    "google tv",
    "android tv",
    "androidtv",
    "bravia",
    "netcast",
    "nettv",
    "web0s",
    "webos.tv",
    "roku",
    "crkey",
    "viera",
    "opera tv",
    "pov_tv",
    "mitv",
    "; aft",
    "aquos-tv",
    "tv safari",
];

/// Names of tablets, for those that also say `Mobile` and for apps.
const TABLET: [&str; 17] = [
    "ipad",
    "kindle",
    "silk/",
    "silk-accelerated",
    "playbook",
    "touchpad",
    "xoom",
    "nexus 7",
    "nexus 9",
    "nexus 10",
    "galaxy tab",
    "mediapad",
    "matepad",
    "lenovo tab",
    "lenovo tb",
    "tablet;",
    "tablet)",
];

/// The first letters of Samsung's and Amazon's tablet models.
const TABLET_MODELS: [&str; 5] = ["; sm-t", "; sm-x", "; sm-p", "; gt-p", "; kf"];

const PHONE: [&str; 16] = [
    "iphone",
    "ipod",
    "windows phone",
    "windows mobile",
    "windows ce",
    "iemobile",
    "blackberry",
    "bb10",
    "kaios",
    "symb",
    "series60",
    "opera mini",
    "opera mobi",
    "midp",
    "mobile",
    "ucweb",
];

const DESKTOP_SYSTEMS: [&str; 20] = [
    "Windows",
    "Mac OS",
    "Linux",
    "Ubuntu",
    "Kubuntu",
    "Chrome OS",
    "Debian",
    "Fedora",
    "Red Hat",
    "CentOS",
    "SUSE",
    "Arch Linux",
    "Gentoo",
    "Mandriva",
    "Slackware",
    "FreeBSD",
    "OpenBSD",
    "NetBSD",
    "Solaris",
    "BeOS",
];

/// `phone`, `tablet`, `desktop`, `tv` or `other`; `device` and `os` are uap-core's families.
pub(super) fn category(text: &str, device: &str, os: &str) -> &'static str {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&OTHER) {
        "other"
    } else if has(&TV) {
        "tv"
    } else if has(&TABLET) || has(&TABLET_MODELS) || is_android_tablet(&text, os) {
        "tablet"
    } else if has(&PHONE) || is_phone(device, os) {
        "phone"
    } else if DESKTOP_SYSTEMS.iter().any(|system| os.starts_with(system)) {
        "desktop"
    } else {
        "other"
    }
}

/// A browser on an Android phone says `Mobile`, one on a tablet does not. What is no browser
/// never says it.
fn is_android_tablet(text: &str, os: &str) -> bool {
    os == "Android" && text.starts_with("mozilla/") && !text.contains("mobi")
}

/// Apps name the system and no kind of device: most of them run on phones.
fn is_phone(device: &str, os: &str) -> bool {
    matches!(os, "iOS" | "Android") || device.starts_with("Generic ")
}
