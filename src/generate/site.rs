//! The site that is visited, and the ways that lead to it.

use super::page_view::Campaign;
use super::random::Random;

/// User agents by how often they are met. `None`: none was sent.
pub(crate) const USER_AGENTS: [(u64, Option<&str>); 12] = [
    (
        24,
        Some(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ),
    ),
    (
        14,
        Some(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
        ),
    ),
    (
        20,
        Some(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
        ),
    ),
    (
        20,
        Some(
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
        ),
    ),
    (
        6,
        Some(
            "Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
        ),
    ),
    (
        4,
        Some("Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"),
    ),
    (
        4,
        Some(
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
        ),
    ),
    (
        4,
        Some(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
        ),
    ),
    (
        1,
        Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    ),
    (1, Some("curl/8.4.0")),
    (1, Some("")),
    (1, None),
];

/// Paths and titles by how often they are seen. `#` stands for a number.
pub(crate) const PAGES: [(u64, (&str, &str)); 12] = [
    (16, ("/", "Example")),
    (30, ("/products/#", "Product")),
    (12, ("/products", "All products")),
    (12, ("/blog/#", "Blog")),
    (6, ("/blog", "The blog")),
    (6, ("/pricing", "Pricing")),
    (5, ("/search", "Search")),
    (4, ("/cart", "Your cart")),
    (3, ("/checkout", "Checkout")),
    (3, ("/docs/#", "Documentation")),
    (2, ("/about", "About us")),
    (1, ("/über-uns", "Über uns")),
];

/// How a visit begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    referrer: Option<&'static str>,
    /// utm_source, utm_medium, utm_campaign.
    campaign: Option<(&'static str, &'static str, &'static str)>,
    paid: bool,
}

const fn way(referrer: &'static str) -> Way {
    Way {
        referrer: Some(referrer),
        campaign: None,
        paid: false,
    }
}

const fn campaign(
    referrer: &'static str,
    source: &'static str,
    medium: &'static str,
    name: &'static str,
) -> Way {
    Way {
        referrer: Some(referrer),
        campaign: Some((source, medium, name)),
        paid: false,
    }
}

/// Ways by how often they are taken.
pub(crate) const ENTRIES: [(u64, Way); 16] = [
    (
        14,
        Way {
            referrer: None,
            campaign: None,
            paid: false,
        },
    ),
    (16, way("")),
    (22, way("https://www.google.com/")),
    (4, way("https://www.google.de/")),
    (4, way("https://www.bing.com/")),
    (3, way("https://duckduckgo.com/")),
    (3, way("https://chatgpt.com/")),
    (1, way("https://www.perplexity.ai/")),
    (4, way("https://t.co/AbC123")),
    (2, way("https://news.ycombinator.com/item?id=38000000")),
    (3, way("https://partner.example.net/review")),
    (2, way("android-app://com.google.android.gm/")),
    (6, campaign("", "newsletter", "email", "december news")),
    (
        4,
        campaign("https://l.facebook.com/", "facebook", "social", ""),
    ),
    (
        4,
        campaign("https://m.facebook.com/", "facebook", "paid", "winter_sale"),
    ),
    (
        8,
        Way {
            referrer: Some("https://www.google.com/"),
            campaign: Some(("google", "cpc", "winter_sale")),
            paid: true,
        },
    ),
];

/// The page before, the query and the campaign of a page view.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) referrer: Option<String>,
    pub(crate) search: String,
    pub(crate) campaign: Campaign,
}

impl Way {
    /// One visit by this way.
    pub(crate) fn draw(self, draws: &mut Random) -> Entry {
        let mut entry = Entry {
            referrer: self.referrer.map(str::to_owned),
            ..Entry::default()
        };
        let Some((source, medium, name)) = self.campaign else {
            return entry;
        };
        let encoded = name.replace(' ', "%20");
        entry.search = format!("?utm_source={source}&utm_medium={medium}");
        entry.campaign.source = Some(source.to_owned());
        entry.campaign.medium = Some(medium.to_owned());
        if !name.is_empty() {
            entry.search += &format!("&utm_campaign={encoded}");
            entry.campaign.name = Some(name.to_owned());
        }
        if self.paid {
            let term = draws
                .pick(&["shoes", "boots", "red shoes"])
                .unwrap_or("shoes");
            let content = draws.pick(&["ad-a", "ad-b"]).unwrap_or("ad-a");
            entry.search += &format!(
                "&utm_term={}&utm_content={content}&gclid=Cj0K{}",
                term.replace(' ', "+"),
                draws.hex_id()
            );
            entry.campaign.term = Some(term.to_owned());
            entry.campaign.content = Some(content.to_owned());
        }
        entry
    }
}
