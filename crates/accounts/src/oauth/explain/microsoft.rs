//! What Microsoft's numbers mean (`AADSTS` and five digits or more), at a token endpoint and at an authorization endpoint.
//!
//! A number of six or seven digits is a special case of the number that its first five digits make: 700082 is a case of
//! 70008, 7000215 one of 70002. So a number that is not listed means at least what its family means.
//! <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>

use super::{Cause, Meaning};
use crate::oauth::Grant;

/// What the most telling of some numbers means.
pub(super) fn meaning(numbers: &[u32], grant: Grant) -> Option<Meaning> {
    let exact = numbers.iter().find_map(|number| listed(*number, grant));
    let family = || {
        let heads = numbers.iter().filter_map(|number| head(*number));
        heads.into_iter().find_map(|number| listed(number, grant))
    };
    exact
        .or_else(family)
        .or_else(|| numbers.iter().find_map(|number| by_range(*number)))
}

/// The number of the family that a longer number belongs to.
fn head(number: u32) -> Option<u32> {
    let mut head = number;
    while head > 99_999 {
        head /= 10;
    }
    (head != number).then_some(head)
}

const SIGN_IN_AGAIN: &str = "the session behind the refresh token has ended; the person has to sign in again";

fn listed(number: u32, grant: Grant) -> Option<Meaning> {
    let is_app = grant == Grant::ClientCredentials;
    let (cause, text) = match number {
        // The client's own proof.
        7_000_215 | 70_002 => (
            Cause::Credentials,
            "the client secret is wrong; copy the secret's value, not its id, from Certificates & secrets into \"client_secret\"",
        ),
        7_000_222 => (
            Cause::Credentials,
            "the client secret has expired; make a new one under Certificates & secrets, and write it into \"client_secret\"",
        ),
        7_000_216 | 7_000_218 => (
            Cause::Account,
            "the application needs its secret, and the account has none; write \"client_secret\", or allow public client flows in the application's Authentication settings",
        ),
        700_025 => (
            Cause::Account,
            "the application is a public client, which has no secret; leave \"client_secret\" out, or register the redirect address under Web",
        ),
        50_012 | 700_027 | 700_030 | 700_023 | 50_013 | 500_133 | 50_027 | 50_048 | 900_384 => (
            Cause::Credentials,
            "the proof with which the client signs in is not valid; use a client secret, and write it into \"client_secret\"",
        ),
        700_024 => (
            Cause::Credentials,
            "the proof with which the client signs in is outside of its time; set this machine's clock",
        ),
        // The application.
        700_016 | 70_001 | 700_011 | 7_000_229 => (
            Cause::Account,
            "the tenant does not have this application; correct \"client_id\" to the application (client) id, and \"tenant\" to the tenant where it is registered",
        ),
        7_000_112 | 1_000_031 => (
            Cause::Organisation,
            "the application is disabled in the tenant; have an administrator enable its sign-in under Enterprise applications",
        ),
        7_000_114 => (
            Cause::Account,
            "the application may not act for others; correct the account's grant",
        ),
        50_194 => (
            Cause::Account,
            "the application belongs to one tenant, and the account names none; write that tenant's id or domain into \"tenant\"",
        ),
        9_001_023 | 90_124 | 90_130 | 90_126 | 90_027 => (
            Cause::Account,
            "this is not possible with the endpoint of all tenants; write the tenant's id or domain into \"tenant\"",
        ),
        9_002_331 | 9_002_346 => (
            Cause::Account,
            "the application is for personal Microsoft accounts only; write \"tenant\": \"consumers\", or change the account types that the application supports",
        ),
        9_002_332 | 500_208 => (
            Cause::Account,
            "the application is for accounts of organisations only; write the organisation's id or domain into \"tenant\"",
        ),
        // The tenant.
        90_002 | 90_019 | 900_021 | 900_023 | 50_059 | 50_128 | 90_125 | 50_107 | 50_169 => (
            Cause::Account,
            "there is no such tenant; correct \"tenant\" to the tenant's id, or to one of its domains",
        ),
        90_038 | 90_043 | 90_051 | 50_049 | 900_382 | 900_432 | 50_134 | 1_000_104 => (
            Cause::Account,
            "the tenant belongs to another of Microsoft's clouds; write that cloud's \"token_endpoint\" and \"authorization_endpoint\", such as https://login.microsoftonline.us/TENANT/oauth2/v2.0/token",
        ),
        50_002 | 500_021 | 500_022 | 500_212 | 500_213 => (
            Cause::Organisation,
            "the organisation does not allow access to this tenant; ask its administrator about tenant restrictions and cross-tenant access",
        ),
        7_000_012 | 700_005 => (
            Cause::Person,
            "what was granted is from another tenant than the account's; write the tenant that the person signed in to into \"tenant\", or have the person sign in again",
        ),
        // Scopes and the resource behind them.
        70_011 | 28_002 | 28_003 | 700_022 | 650_053 | 901_002 => (
            Cause::Account,
            "the scopes are not valid together or not at all; leave \"scopes\" out (SMTP takes https://outlook.office.com/SMTP.Send and offline_access)",
        ),
        1_002_012 => (
            Cause::Account,
            "an application asks for all of its permissions at once; leave \"scopes\" out, or write https://outlook.office365.com/.default",
        ),
        50_001 | 500_011 | 500_014 | 650_052 | 650_054 | 650_057 => (
            Cause::Account,
            "the tenant does not have the service that the scopes name; leave \"scopes\" out, and check that the tenant has Exchange Online and that the application's API permissions list SMTP",
        ),
        // Consent.
        65_001 | 650_056 | 65_005 | 90_008 if is_app => (
            Cause::Organisation,
            "nobody has consented to the application's permissions; add SMTP.SendAsApp of Office 365 Exchange Online under API permissions, and have an administrator grant consent",
        ),
        65_001 | 90_008 | 9_002_341 | 700_020 => (
            Cause::Person,
            "nobody has consented to what the application asks for; have the person sign in again and consent, or an administrator grant consent under API permissions",
        ),
        65_004 => (
            Cause::Person,
            "the person did not consent; have them sign in again and accept",
        ),
        65_002 => (
            Cause::Account,
            "the client id is one of Microsoft's own applications; register one, and write its id into \"client_id\"",
        ),
        65_005 | 650_056 => (
            Cause::Account,
            "the application's registration does not list the permission; add SMTP.Send under API permissions, and consent to it",
        ),
        90_094 | 90_095 | 90_093 | 90_099 | 650_051 => (
            Cause::Organisation,
            "an administrator has to consent to the application; ask one to grant consent under API permissions",
        ),
        50_105 => (
            Cause::Organisation,
            "the person is not assigned to the application; have an administrator assign them under Enterprise applications, Users and groups",
        ),
        // What the organisation demands of a sign-in.
        500_121 | 50_072 | 50_074 | 50_076 | 50_078 | 50_079 | 50_158 | 50_161 | 53_004 | 50_088 | 50_125 => (
            Cause::Person,
            "the organisation asks for a second factor; the person has to sign in again and give it",
        ),
        53_003 | 50_131 | 530_032 | 530_034 => (
            Cause::Organisation,
            "the organisation's Conditional Access blocks this; ask its administrator to look the request up in the sign-in logs, and to allow this application or this place",
        ),
        530_035 => (
            Cause::Organisation,
            "the organisation's security defaults block this; ask its administrator to look the request up in the sign-in logs",
        ),
        53_000 | 53_001 | 53_002 | 53_009 | 50_097 | 50_129 | 50_155 | 50_187 | 50_127 | 50_005 | 135_011 => (
            Cause::Organisation,
            "the organisation allows this only from devices or applications that it manages; ask its administrator to make an exception for this application",
        ),
        53_010 | 53_011 | 50_053 | 50_135 => (
            Cause::Organisation,
            "the person's account is locked or at risk; have an administrator unblock it, then the person sign in again",
        ),
        // The person.
        50_057 => (
            Cause::Organisation,
            "the person's account is disabled; have an administrator enable it",
        ),
        50_055 | 50_142 | 50_144 => (
            Cause::Person,
            "the person's password has expired; they have to change it and sign in again",
        ),
        50_034 | 51_004 | 50_020 | 50_014 | 16_000 | 16_003 | 90_072 | 50_197 => (
            Cause::Account,
            "the person's account does not exist in this tenant; correct \"tenant\" to the person's own, or sign in with an account of this tenant",
        ),
        50_126 | 50_056 | 50_064 => (
            Cause::Person,
            "the user name or the password was wrong; the person has to sign in again",
        ),
        // What was granted, and has ended.
        700_082 => (
            Cause::Person,
            "the refresh token was not used for 90 days and has expired; the person has to sign in again",
        ),
        700_081 | 700_084 => (
            Cause::Person,
            "the refresh token was given to a single-page application, and lives for 24 hours; register the redirect address under Mobile and desktop applications, then have the person sign in again",
        ),
        9_002_325..=9_002_327 => (
            Cause::Account,
            "the redirect address is registered for a single-page application; register http://localhost under Mobile and desktop applications",
        ),
        70_043..=70_046 => (
            Cause::Person,
            "the organisation asks for a new sign-in after some time, and that time is over; the person has to sign in again, or an administrator exempt this application from the sign-in frequency",
        ),
        50_173 | 50_132 | 50_133 | 50_089 | 50_085 | 50_139 => (
            Cause::Person,
            "the refresh token was withdrawn, as when a password is changed or an administrator revokes sessions; the person has to sign in again",
        ),
        54_005 | 70_008 if grant == Grant::AuthorizationCode => (
            Cause::Person,
            "the code was used already or is too old; sign in once more",
        ),
        70_000 | 70_008 => (
            Cause::Person,
            "the refresh token is dead: it was not used for 90 days, the password changed, or access was withdrawn; the person has to sign in again",
        ),
        54_005 => (Cause::Person, "the code was used already; sign in once more"),
        50_148 | 50_147 | 501_481 | 501_491 => {
            (Cause::Person, "the code belongs to another sign-in; sign in once more")
        }
        50_011 | 500_112 | 500_113 | 900_971 | 70_004 | 700_009 => (
            Cause::Account,
            "the redirect address is not registered with the application; register http://localhost under Mobile and desktop applications",
        ),
        50_058 | 16_001 | 16_002 | 160_021 | 50_140 | 50_143 | 50_199 | 51_006 | 50_168 => {
            (Cause::Person, SIGN_IN_AGAIN)
        }
        // The request.
        70_003 => (
            Cause::Account,
            "the application may not use this grant; correct \"grant\", and check the application's Authentication settings",
        ),
        90_014 | 90_013 | 90_023 | 90_004 | 90_005 | 90_100 | 90_015 | 90_056 | 90_121 | 90_117 | 90_102 | 70_005
        | 70_007 => (
            Cause::Account,
            "Microsoft did not understand the request; check \"client_id\", \"tenant\", \"scopes\" and the endpoints",
        ),
        90_101 => (
            Cause::Account,
            "the user name is not an e-mail address; correct \"username\"",
        ),
        90_112 => (
            Cause::Account,
            "the client id is not the id of an application; write its application (client) id into \"client_id\"",
        ),
        // Passing troubles.
        90_006 | 90_012 | 90_024 | 90_025 | 90_033 | 90_090 | 90_091 | 50_033 | 50_087 | 50_166 | 70_012 | 40_010
        | 80_001 | 80_002 | 80_005 | 80_014 | 501_621 => {
            (Cause::Passing, "Microsoft has a passing problem; try again later")
        }
        90_055 | 50_196 => (
            Cause::Passing,
            "too many requests for tokens came in a short time; wait, and let runs that follow one another share one process or one store",
        ),
        _ => return None,
    };
    Some(Meaning { cause, text })
}

/// The families of numbers, by how they begin.
fn by_range(number: u32) -> Option<Meaning> {
    let (cause, text) = match head(number).unwrap_or(number) {
        16_000..=16_999 => (Cause::Person, SIGN_IN_AGAIN),
        20_000..=20_999 | 40_000..=40_999 | 75_000..=76_999 | 80_000..=81_999 => (
            Cause::Organisation,
            "the organisation's own sign-in service does not work with Microsoft's; ask its administrator",
        ),
        28_000..=28_999 => (Cause::Account, "the scopes are not valid; leave \"scopes\" out"),
        50_000..=52_999 => (
            Cause::Person,
            "Microsoft does not accept the sign-in; have the person sign in again, and if that does not help, an administrator look it up in the sign-in logs",
        ),
        53_000..=53_999 => (
            Cause::Organisation,
            "the organisation's Conditional Access blocks this; ask its administrator to look the request up in the sign-in logs",
        ),
        54_000..=54_999 | 12_000..=14_999 => (
            Cause::Organisation,
            "the person's account or device may not do this; ask the organisation's administrator",
        ),
        65_000..=65_999 => (
            Cause::Organisation,
            "the application lacks a permission or the consent to it; check its API permissions, and have an administrator grant consent",
        ),
        70_000..=70_999 => (
            Cause::Credentials,
            "Microsoft does not accept the client or what was granted to it; check \"client_id\", \"client_secret\" and \"tenant\", then have the person sign in again",
        ),
        90_000..=90_999 => (
            Cause::Account,
            "Microsoft does not accept the request; check \"client_id\", \"tenant\", \"scopes\" and the endpoints",
        ),
        _ => return None,
    };
    Some(Meaning { cause, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(number: u32) -> Option<Cause> {
        meaning(&[number], Grant::RefreshToken).map(|meaning| meaning.cause)
    }

    #[test]
    fn a_number_that_is_not_listed_means_what_its_family_means() {
        assert_eq!(head(7_000_215), Some(70_002));
        assert_eq!(head(700_082), Some(70_008));
        assert_eq!(head(50_076), None);
        for (number, like) in [
            (7_000_299, 70_002),
            (700_089, 70_008),
            (530_039, 53_003),
            (9_002_399, 90_023),
        ] {
            assert_eq!(cause(number), cause(like), "{number}");
            assert!(cause(number).is_some(), "{number}");
        }
        for number in [16_099, 50_999, 53_099, 65_099, 70_999, 90_999, 80_099] {
            assert!(cause(number).is_some(), "{number}");
        }
        assert_eq!(cause(999_999_999), None);
        assert_eq!(cause(1), None);
    }

    #[test]
    fn the_most_telling_of_several_numbers_is_explained() {
        let both = meaning(&[7_000_099, 50_173], Grant::RefreshToken).expect("a meaning");
        assert!(both.text.contains("withdrawn"), "{}", both.text);
    }
}
