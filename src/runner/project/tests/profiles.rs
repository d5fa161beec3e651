//! `profiles.yml` and what the command line puts over it.

use super::*;

#[test]
fn without_profiles_there_is_a_default_target() {
    let folder = folder(&[]);
    let target = folder.load().target;
    assert_eq!((target.name.as_str(), target.threads), ("dev", 4));
    let tables = folder.root().join("target/tables");
    assert_eq!(target.location, tables.display().to_string());
}

const PROFILES: &str = "shop:\n  target: dev\n  outputs:\n    dev: {type: sessionize}\n    \
                        prod: {type: duckdb, path: data/x.duckdb, extensions: [httpfs]}\n";

fn with_profiles(profiles: &str) -> Folder {
    folder(&[
        ("dbt_project.yml", "name: shop\nprofile: shop\n"),
        ("profiles.yml", profiles),
    ])
}

#[test]
fn a_profile_that_is_not_there_is_an_error() {
    assert_eq!(
        wrong(&[
            ("dbt_project.yml", "name: a\nprofile: shopp\n"),
            ("profiles.yml", PROFILES)
        ]),
        "dbt_project.yml:2:10 there is no profile `shopp` in `profiles.yml` \
         (did you mean `shop`?)"
    );
    let error = wrong(&[("dbt_project.yml", "name: a\nprofile: shop\n")]);
    assert!(
        error.starts_with("dbt_project.yml:2:10 there is no `profiles.yml` in"),
        "{error}"
    );
    let folder = with_profiles(PROFILES);
    let mut options = folder.options();
    options.target = Some("production".into());
    let error = load(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(
        shown(&error),
        "profiles.yml:4:5 there is no target `production` in the profile's `outputs` \
         (targets there: `dev`, `prod`)"
    );
}

#[test]
fn the_command_line_wins_over_the_profile() {
    let folder = with_profiles(PROFILES);
    let mut options = folder.options();
    options.target = Some("prod".into());
    let target = load(&options).unwrap().target;
    assert_eq!(
        target.location,
        folder.root().join("data").display().to_string()
    );
    assert_eq!(target.raw["extensions"], json!(["httpfs"]));
    options.location = Some("out".into());
    options.threads = Some(7);
    let target = load(&options).unwrap().target;
    let out = folder.root().join("elsewhere/out");
    assert_eq!(
        (target.location, target.threads),
        (out.display().to_string(), 7)
    );
    options.location = Some("s3://bucket/x".into());
    assert_eq!(load(&options).unwrap().target.location, "s3://bucket/x");
}

#[test]
fn a_target_is_checked() {
    let error = |output: &str| {
        let text = format!("shop:\n  target: dev\n  outputs:\n    dev: {output}\n");
        shown(&with_profiles(&text).error())
    };
    assert_eq!(
        error("{type: sessionize, shema: x}"),
        "profiles.yml:4:29 unknown key `shema` in target `dev` (did you mean `schema`?)"
    );
    assert_eq!(
        error("{type: sessionize, threads: none}"),
        "profiles.yml:4:38 `threads` must be a whole number from 1, found the string `none`"
    );
    assert!(error("{type: postgres}").starts_with(
        "profiles.yml:4:17 `type: postgres` is not supported (expected `sessionize`"
    ));
    assert_eq!(
        error("{schema: x}"),
        "profiles.yml:4:10 target `dev` needs `type`"
    );
}

#[test]
fn profiles_are_looked_up_as_dbt_does() {
    let elsewhere = folder(&[("profiles.yml", "shop: {outputs: {e: {type: duckdb}}}\n")]);
    let home = folder(&[(
        ".dbt/profiles.yml",
        "shop: {outputs: {h: {type: sessionize}}}\n",
    )]);
    let project = folder(&[("dbt_project.yml", "name: shop\nprofile: shop\n")]);
    let mut options = project.options();
    let target = |options: &LoadOptions| load(options).unwrap().target.name;
    let path = |folder: &Folder| folder.root().display().to_string();
    options.env.insert("HOME".into(), path(&home));
    assert_eq!(target(&options), "h");
    options
        .env
        .insert("DBT_PROFILES_DIR".into(), path(&elsewhere));
    assert_eq!(target(&options), "e");
    options.profiles_dir = Some(home.root().join(".dbt"));
    assert_eq!(target(&options), "h");

    let project = with_profiles(PROFILES);
    let mut options = project.options();
    options.env.insert("HOME".into(), path(&home));
    assert_eq!(target(&options), "dev");
}

#[test]
fn what_a_duckdb_profile_attaches_is_refused() {
    let text = "shop:\n  target: dev\n  outputs:\n    dev: {type: duckdb, \
                attach: [{path: x.duckdb}]}\n";
    assert_eq!(
        shown(&with_profiles(text).error()),
        "profiles.yml:4:25 `attach` in target `dev` is not supported (name the files of its \
         tables as sources)"
    );
}
