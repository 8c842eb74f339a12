use clap::CommandFactory;

use super::*;
use crate::domains::{catalog::Preset, credits as domain};

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).expect(line)
}

#[test]
fn the_definition_is_sound() {
    <Cli as CommandFactory>::command().debug_assert();
}

#[test]
fn no_word_means_development() {
    let flags = parse("loquent --config other.toml").flags();
    let expected = Flags { is_dev: true, file: Some("other.toml".into()), ..Flags::default() };
    assert_eq!(flags, expected);
    assert!(!parse("loquent serve").flags().is_dev);
}

#[test]
fn serve_hands_its_flags_to_the_configuration() {
    let cli = parse("loquent serve --dev --host 0.0.0.0 --port 8080 --config a.toml --allow-remote-dev");
    let expected = Flags {
        purpose: Purpose::Serve,
        is_dev: true,
        host: Some(IpAddr::from([0, 0, 0, 0])),
        port: Some(8080),
        file: Some("a.toml".into()),
        is_remote_dev_allowed: true,
    };
    assert_eq!(cli.flags(), expected);
}

#[test]
fn a_runner_hands_its_flags_to_the_configuration() {
    let cli = parse("loquent runner --host 0.0.0.0 --port 9100 --config a.toml");
    let expected = Flags {
        purpose: Purpose::Run,
        host: Some(IpAddr::from([0, 0, 0, 0])),
        port: Some(9100),
        file: Some("a.toml".into()),
        ..Flags::default()
    };
    assert_eq!(cli.flags(), expected);
    assert_eq!(parse("loquent runner").flags().port, None);
}

#[test]
fn the_other_commands_need_no_signing_keys() {
    let table = [
        ("loquent migrate up", Command::Migrate { action: Migrate::Up }),
        ("loquent migrate status", Command::Migrate { action: Migrate::Status }),
        ("loquent schema export", Command::Schema { action: Schema::Export { check: None } }),
        (
            "loquent schema export --check schema.graphql",
            Command::Schema { action: Schema::Export { check: Some("schema.graphql".into()) } },
        ),
        ("loquent doctor --json", Command::Doctor(Doctor { is_json: true, ..Doctor::default() })),
        (
            "loquent schema errors --check docs/ERRORS.md",
            Command::Schema { action: Schema::Errors { check: Some("docs/ERRORS.md".into()) } },
        ),
        (
            "loquent schema check old.graphql",
            Command::Schema { action: Schema::Check { old: "old.graphql".into(), new: None } },
        ),
        (
            "loquent catalog apply offer.toml --dry-run",
            Command::Catalog {
                action: Catalog::Apply {
                    offer: Offer { file: Some("offer.toml".into()), preset: None },
                    is_dry_run: true,
                },
            },
        ),
        (
            "loquent catalog show --preset airi",
            Command::Catalog { action: Catalog::Show { preset: Some(Preset::Airi) } },
        ),
        ("loquent ledger check", Command::Ledger { action: Ledger::Check }),
        (
            "loquent settings set chat.default_model echo",
            Command::Settings {
                action: Settings::Set { key: "chat.default_model".into(), value: "echo".into() },
            },
        ),
        (
            "loquent accounts set-plan a@b.example pro --until 2027-01-01T00:00:00Z --reason Prize",
            Command::Accounts {
                action: Accounts::SetPlan {
                    account: "a@b.example".into(),
                    plan: "pro".into(),
                    until: Some("2027-01-01T00:00:00Z".parse().expect("an instant")),
                    reason: "Prize".into(),
                },
            },
        ),
        (
            "loquent users set-role a@b.example admin",
            Command::Users { action: Users::SetRole { email: "a@b.example".into(), role: Role::Admin } },
        ),
        (
            "loquent credits adjust a@b.example -12.5 --reason Error",
            Command::Credits {
                action: Credits::Adjust {
                    account: "a@b.example".into(),
                    amount: domain::Credits(-12_500_000),
                    expires: None,
                    reason: "Error".into(),
                    key: None,
                },
            },
        ),
        ("loquent replicas --limit 7", Command::Replicas(Replicas { limit: 7 })),
    ];
    for (line, command) in table {
        let cli = parse(line);
        assert_eq!(cli.command(), command, "{line}");
        assert_eq!(cli.flags().purpose, Purpose::Maintain, "{line}");
    }
}

#[test]
fn wrong_words_are_refused() {
    for line in [
        "loquent sreve",
        "loquent serve --port 65536",
        "loquent migrate",
        "loquent doctor --url ftp://x",
        "loquent jobs list --state asleep",
        "loquent jobs list --limit 0",
        "loquent jobs retry",
        "loquent jobs discard msg_01k9ppzzzzzzzzzzzzzzzzzzzz",
        "loquent serve --allow-remote-dev",
        "loquent runner --host 0.0.0.0",
        "loquent replicas --limit 0",
        "loquent catalog apply",
        "loquent catalog apply offer.toml --preset airi",
        "loquent catalog apply --preset nobody",
        "loquent accounts set-plan a@b.example pro",
        "loquent accounts set-plan a@b.example pro --reason x --until tomorrow",
        "loquent users set-role a@b.example owner",
        "loquent credits adjust a@b.example --reason x",
        "loquent credits adjust a@b.example 1e3 --reason x",
        "loquent credits adjust a@b.example --5 --reason x",
        "loquent credits adjust a@b.example 0.0000001 --reason x",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
