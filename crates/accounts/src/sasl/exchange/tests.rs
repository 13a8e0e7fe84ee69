use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

fn password(user: &str, password: &str) -> Credentials {
    Credentials::password(Secret::new(user.to_owned()), Secret::new(password.to_owned()))
}

fn token(user: &str, token: &str) -> Credentials {
    Credentials::token(Secret::new(user.to_owned()), Secret::new(token.to_owned()))
}

fn start(mechanism: Mechanism, credentials: &Credentials) -> Exchange {
    Exchange::start(mechanism, credentials, "smtp.example.com", 587).expect("credentials that fit")
}

fn sent(next: Next) -> String {
    match next {
        Next::Send(bytes) => String::from_utf8(bytes.to_vec()).expect("ASCII"),
        Next::Done(outcome) => panic!("done: {outcome:?}"),
    }
}

fn ended(next: Next) -> Outcome {
    match next {
        Next::Done(outcome) => outcome,
        Next::Send(_) => panic!("there is more to send"),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn plain_says_all_in_its_first_line() {
    // The example of RFC 4954, section 4.1.
    let mut exchange = start(Mechanism::Plain, &password("test", "1234"));
    assert_eq!(text(&exchange.first_line()), "AUTH PLAIN AHRlc3QAMTIzNA==\r\n");
    assert_eq!(ended(exchange.handle_reply(235, b"2.7.0 Accepted")), Outcome::SignedIn);
}

#[test]
fn login_answers_two_prompts() {
    let mut exchange = start(Mechanism::Login, &password("test", "1234"));
    assert_eq!(text(&exchange.first_line()), "AUTH LOGIN\r\n");
    assert_eq!(sent(exchange.handle_reply(334, b"VXNlcm5hbWU6")), "dGVzdA==\r\n");
    assert_eq!(sent(exchange.handle_reply(334, b"UGFzc3dvcmQ6")), "MTIzNA==\r\n");
    assert_eq!(ended(exchange.handle_reply(535, b"5.7.8 no")), Outcome::Refused);
}

#[test]
fn xoauth2_acknowledges_a_refusal_with_an_empty_line() {
    let mut exchange = start(
        Mechanism::XOAuth2,
        &token("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"),
    );
    assert_eq!(
        text(&exchange.first_line()),
        "AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==\r\n"
    );
    let status = STANDARD.encode(r#"{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}"#);
    assert_eq!(sent(exchange.handle_reply(334, status.as_bytes())), "\r\n");
    assert_eq!(
        exchange.status(),
        Some(r#"{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}"#)
    );
    assert_eq!(ended(exchange.handle_reply(535, b"5.7.8 no")), Outcome::Refused);
}

#[test]
fn oauthbearer_names_the_server_and_acknowledges_with_a_control_a() {
    let mut exchange = start(Mechanism::OAuthBearer, &token("a=b,c@example.com", "tok"));
    let first = text(&exchange.first_line());
    let response = first
        .strip_prefix("AUTH OAUTHBEARER ")
        .and_then(|rest| rest.strip_suffix("\r\n"))
        .expect("one line");
    assert_eq!(
        text(&STANDARD.decode(response).expect("base64")),
        "n,a=a=3Db=2Cc@example.com,\x01host=smtp.example.com\x01port=587\x01auth=Bearer tok\x01\x01"
    );
    assert_eq!(sent(exchange.handle_reply(334, b"e30=")), "AQ==\r\n");
    assert_eq!(ended(exchange.handle_reply(535, b"no")), Outcome::Refused);
}

#[test]
fn a_response_too_long_for_a_command_waits_for_its_prompt() {
    let mut exchange = start(Mechanism::XOAuth2, &token("u@example.com", &"t".repeat(2000)));
    assert_eq!(text(&exchange.first_line()), "AUTH XOAUTH2\r\n");
    assert!(sent(exchange.handle_reply(334, b"")).len() > 2000);
    assert_eq!(sent(exchange.handle_reply(334, b"e30=")), "\r\n");
    assert_eq!(ended(exchange.handle_reply(535, b"no")), Outcome::Refused);
}

#[test]
fn the_longest_command_is_exactly_512_octets() {
    let line = |length: usize| text(&start(Mechanism::Plain, &password("u", &"p".repeat(length))).first_line());
    // 11 for `AUTH PLAIN `, 2 for CRLF: 499 are left, of which base64 fills 496.
    assert_eq!(line(369).len(), 11 + 496 + 2);
    assert_eq!(line(370), "AUTH PLAIN\r\n");
}

#[test]
fn a_response_too_long_for_a_line_is_refused() {
    let result = Exchange::start(Mechanism::Login, &password("u", &"p".repeat(10_000)), "h", 587);
    assert_eq!(result.err(), Some(SaslError::TooLong));
}

#[test]
fn a_server_that_asks_on_is_cancelled() {
    let mut exchange = start(Mechanism::Plain, &password("u", "p"));
    exchange.first_line();
    assert_eq!(sent(exchange.handle_reply(334, b"")), "*\r\n");
    assert_eq!(ended(exchange.handle_reply(501, b"cancelled")), Outcome::Cancelled);

    let mut exchange = start(Mechanism::XOAuth2, &token("u", "t"));
    exchange.first_line();
    assert_eq!(sent(exchange.handle_reply(334, b"!!!")), "\r\n");
    assert_eq!(exchange.status(), None);
    assert_eq!(sent(exchange.handle_reply(334, b"")), "*\r\n");
    assert_eq!(ended(exchange.handle_reply(334, b"")), Outcome::Cancelled);
}

#[test]
fn a_235_after_a_cancel_is_no_sign_in() {
    let mut exchange = start(Mechanism::Plain, &password("u", "p"));
    exchange.first_line();
    sent(exchange.handle_reply(334, b""));
    assert_eq!(ended(exchange.handle_reply(235, b"welcome")), Outcome::Cancelled);
}

#[test]
fn what_a_mechanism_cannot_carry_is_refused_before_a_word() {
    let refused = |mechanism, credentials: Credentials| Exchange::start(mechanism, &credentials, "h", 1).err();
    assert_eq!(refused(Mechanism::Plain, password("u", "a\0b")), Some(SaslError::Nul));
    assert_eq!(refused(Mechanism::Plain, password("u\0", "a")), Some(SaslError::Nul));
    assert_eq!(
        refused(Mechanism::XOAuth2, token("u", "a\x01b")),
        Some(SaslError::ControlCharacter(Mechanism::XOAuth2))
    );
    assert_eq!(
        refused(Mechanism::OAuthBearer, token("u\x01", "a")),
        Some(SaslError::ControlCharacter(Mechanism::OAuthBearer))
    );
    assert_eq!(
        refused(Mechanism::Plain, token("u", "a")),
        Some(SaslError::WrongSecret(Mechanism::Plain))
    );
    assert_eq!(
        refused(Mechanism::XOAuth2, password("u", "a")),
        Some(SaslError::WrongSecret(Mechanism::XOAuth2))
    );
}

#[test]
fn an_echo_is_scrubbed_in_every_form() {
    let secret = "correct-horse-battery";
    let mut exchange = start(Mechanism::Plain, &password("user", secret));
    let first = text(&exchange.first_line());
    let encoded = STANDARD.encode(secret);
    let embedded = STANDARD.encode(format!("xx{secret}yy"));
    for echo in [
        format!("535 5.7.8 you said {secret}\r\n"),
        format!("535 5.7.8 you said {}\r\n", secret.to_uppercase()),
        format!(
            "535-5.7.8 {}\r\n535 5.7.8 {}\r\n",
            &first[..30],
            &first[30..].trim_end()
        ),
        format!("535 {}\r\n", first.to_lowercase().trim_end()),
        format!("535 <{encoded}>\r\n"),
        format!("535 <{}>\r\n", encoded.to_uppercase()),
        format!("535 <{embedded}>\r\n"),
        format!("535 <{}>\r\n", &embedded[4..20]),
        format!("535 {}\r\n", encoded.replace('+', "-").replace('/', "_")),
    ] {
        let shown = text(&exchange.scrub(echo.as_bytes()));
        assert!(
            shown.starts_with("535") && shown.contains("***") && shown.ends_with("\r\n"),
            "{shown}"
        );
        let lower = shown.to_lowercase();
        for start in 0..secret.len() - 8 {
            assert!(!lower.contains(&secret[start..start + 8]), "{shown}");
        }
        for form in [&encoded, &embedded] {
            let form = form.to_lowercase();
            for start in 3..form.len() - 11 {
                assert!(
                    !lower.contains(&form[start..start + 8]),
                    "{shown} shows {}",
                    &form[start..start + 8]
                );
            }
        }
    }
}

#[test]
fn a_harmless_reply_stays_as_it_is() {
    let exchange = start(Mechanism::Plain, &password("user", "235"));
    let reply = b"235-2.7.0 Accepted\r\n235 2.7.0 Accepted\r\n";
    assert_eq!(exchange.scrub(reply), reply);
    assert_eq!(exchange.scrub(b"235 235\r\n"), b"235 ***\r\n");
}

#[test]
fn what_is_no_secret_stays_readable() {
    let exchange = start(
        Mechanism::OAuthBearer,
        &token("someone@gmail.com", "ya29.PLANTED-token"),
    );
    let reply = b"535-5.7.8 someone@gmail.com at smtp.example.com: auth=Bearer ya29.PLANTED-token\r\n535 5.7.8 no\r\n";
    let expected = "535-5.7.8 someone@gmail.com at smtp.example.com: auth=Bearer ***\r\n535 5.7.8 no\r\n";
    assert_eq!(text(&exchange.scrub(reply)), expected);
}

#[test]
fn debug_shows_no_secret() {
    let credentials = password("user", "hunter2hunter2");
    let mut exchange = start(Mechanism::Login, &credentials);
    exchange.first_line();
    let next = exchange.handle_reply(334, b"");
    let shown = format!("{credentials:?} {exchange:?} {next:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains(&STANDARD.encode("user")),
        "{shown}"
    );
}

#[test]
fn cram_md5_answers_its_challenge() {
    // RFC 2195, section 2.
    let mut exchange = start(Mechanism::CramMd5, &password("tim", "tanstaaftanstaaf"));
    assert_eq!(text(&exchange.first_line()), "AUTH CRAM-MD5\r\n");
    let challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    assert_eq!(
        sent(exchange.handle_reply(334, challenge)),
        "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n"
    );
    assert_eq!(ended(exchange.handle_reply(535, b"5.7.8 no")), Outcome::Refused);
    assert_eq!(exchange.refusal(535, b"535 5.7.8 no"), Refusal::Proof);
}

#[test]
fn a_challenge_that_is_none_is_cancelled() {
    for (mechanism, challenge, problem) in [
        (Mechanism::CramMd5, &b"!!!"[..], ChallengeError::Malformed),
        (Mechanism::CramMd5, b"", ChallengeError::Malformed),
        (Mechanism::ScramSha256, b"bm9uc2Vuc2U=", ChallengeError::Malformed),
        // r=x,s=QUFB,i=4096
        (
            Mechanism::ScramSha256,
            b"cj14LHM9UVVGQixpPTQwOTY=",
            ChallengeError::ForeignNonce,
        ),
        // r=x,s=QUFB,i=1
        (
            Mechanism::ScramSha256,
            b"cj14LHM9UVVGQixpPTE=",
            ChallengeError::Iterations(1),
        ),
    ] {
        let mut exchange = start(mechanism, &password("user", "pencil"));
        exchange.first_line();
        assert_eq!(sent(exchange.handle_reply(334, challenge)), "*\r\n");
        assert_eq!(ended(exchange.handle_reply(501, b"cancelled")), Outcome::Cancelled);
        assert_eq!(exchange.problem(), Some(problem));
    }
}

/// SCRAM's server, as far as a client can see it.
struct ScramServer {
    exchange: Exchange,
    proof: String,
    server_signature: String,
}

impl ScramServer {
    fn challenging(secret: &str) -> Self {
        use ring::{hmac, pbkdf2};
        let mut exchange = start(Mechanism::ScramSha256, &password("us=er", secret));
        let first = text(&exchange.first_line());
        let first = first
            .strip_prefix("AUTH SCRAM-SHA-256 ")
            .expect("the mechanism with its response");
        let first = text(&STANDARD.decode(first.trim_end()).expect("base64"));
        let bare = first.strip_prefix("n,,").expect("no channel binding");
        let nonce = bare.strip_prefix("n=us=3Der,r=").expect("the user and a nonce");
        let challenge = format!("r={nonce}+server,s={},i=4096", STANDARD.encode("salt"));
        let last = sent(exchange.handle_reply(334, STANDARD.encode(&challenge).as_bytes()));
        let last = text(&STANDARD.decode(last.trim_end()).expect("base64"));
        let (without_proof, proof) = last.rsplit_once(",p=").expect("a proof");
        assert_eq!(without_proof, format!("c=biws,r={nonce}+server"));
        let mut salted = [0; 32];
        let iterations = std::num::NonZeroU32::new(4096).expect("not zero");
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            iterations,
            b"salt",
            secret.as_bytes(),
            &mut salted,
        );
        let signed = format!("{bare},{challenge},{without_proof}");
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Server Key");
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), signed.as_bytes());
        Self {
            exchange,
            proof: proof.to_owned(),
            server_signature: STANDARD.encode(signature),
        }
    }
}

#[test]
fn scram_believes_a_server_that_proves_itself() {
    let mut server = ScramServer::challenging("pencil-of-the-user");
    let verifier = STANDARD.encode(format!("v={}", server.server_signature));
    assert_eq!(sent(server.exchange.handle_reply(334, verifier.as_bytes())), "\r\n");
    assert_eq!(
        ended(server.exchange.handle_reply(235, b"2.7.0 Accepted")),
        Outcome::SignedIn
    );

    let mut server = ScramServer::challenging("pencil-of-the-user");
    let verifier = format!("2.7.0 {}", STANDARD.encode(format!("v={}", server.server_signature)));
    assert_eq!(
        ended(server.exchange.handle_reply(235, verifier.as_bytes())),
        Outcome::SignedIn
    );
}

#[test]
fn scram_believes_no_other_server() {
    // A yes at once, before the challenge.
    let mut exchange = start(Mechanism::ScramSha256, &password("user", "pencil"));
    exchange.first_line();
    assert_eq!(ended(exchange.handle_reply(235, b"2.7.0 Accepted")), Outcome::Cancelled);
    assert_eq!(exchange.problem(), Some(ChallengeError::Unproven));

    // A yes without a proof.
    let mut server = ScramServer::challenging("pencil-of-the-user");
    assert_eq!(
        ended(server.exchange.handle_reply(235, b"2.7.0 Accepted")),
        Outcome::Cancelled
    );
    assert_eq!(server.exchange.problem(), Some(ChallengeError::Unproven));

    // Another's proof.
    let mut server = ScramServer::challenging("pencil-of-the-user");
    let other = ScramServer::challenging("pencil-of-another");
    let verifier = STANDARD.encode(format!("v={}", other.server_signature));
    assert_eq!(sent(server.exchange.handle_reply(334, verifier.as_bytes())), "*\r\n");
    assert_eq!(server.exchange.problem(), Some(ChallengeError::Unproven));

    // A yes after its own error; and the error again and again.
    let error = STANDARD.encode("e=invalid-proof");
    let mut server = ScramServer::challenging("pencil-of-the-user");
    assert_eq!(sent(server.exchange.handle_reply(334, error.as_bytes())), "\r\n");
    assert_eq!(ended(server.exchange.handle_reply(235, b"welcome")), Outcome::Cancelled);
    let mut server = ScramServer::challenging("pencil-of-the-user");
    assert_eq!(sent(server.exchange.handle_reply(334, error.as_bytes())), "\r\n");
    assert_eq!(sent(server.exchange.handle_reply(334, error.as_bytes())), "*\r\n");
    let mut server = ScramServer::challenging("pencil-of-the-user");
    assert_eq!(sent(server.exchange.handle_reply(334, error.as_bytes())), "\r\n");
    assert_eq!(ended(server.exchange.handle_reply(535, b"5.7.8 no")), Outcome::Refused);
    assert_eq!(server.exchange.refusal(535, b"535 5.7.8 no"), Refusal::Proof);
}

#[test]
fn what_passwords_can_be_tried_against_is_scrubbed() {
    let server = ScramServer::challenging("pencil-of-the-user");
    for secret in [&server.proof, &server.server_signature] {
        for echo in [
            format!("535 5.7.8 you said {secret}\r\n"),
            format!("334 {}\r\n", STANDARD.encode(format!("v={secret}"))),
            format!("535 {}\r\n", STANDARD.encode(format!("c=biws,r=abc+server,p={secret}"))),
        ] {
            let shown = text(&server.exchange.scrub(echo.as_bytes()));
            let decoded = shown
                .split(' ')
                .next_back()
                .map(|word| STANDARD.decode(word.trim_end()));
            assert!(shown.contains("***"), "{shown}");
            assert!(decoded.is_none_or(|word| word.is_err()), "{shown}");
            for start in 0..secret.len() - 8 {
                assert!(!shown.contains(&secret[start..start + 8]), "{shown}");
            }
        }
    }

    let mut exchange = start(Mechanism::CramMd5, &password("tim", "tanstaaftanstaaf"));
    exchange.first_line();
    let response = sent(exchange.handle_reply(334, b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"));
    let digest = "b913a602c7eda7a495b4e6e7334d3890";
    for echo in [
        format!("535 5.7.8 you said {digest}\r\n"),
        format!("535 5.7.8 you said {}\r\n", digest.to_uppercase()),
        format!("535 5.7.8 {response}"),
        format!("535 5.7.8 {}\r\n", &response[8..30]),
    ] {
        let shown = text(&exchange.scrub(echo.as_bytes()));
        assert!(shown.contains("***"), "{shown}");
        assert!(!shown.to_lowercase().contains(&digest[..8]), "{shown}");
    }
}

#[test]
fn external_shows_nothing_but_a_name() {
    let certificate = |identity: &str| Credentials::certificate(Secret::new(identity.to_owned()));
    let mut exchange = start(Mechanism::External, &certificate(""));
    assert_eq!(text(&exchange.first_line()), "AUTH EXTERNAL =\r\n");
    assert_eq!(ended(exchange.handle_reply(535, b"5.7.8 no")), Outcome::Refused);
    assert_eq!(exchange.refusal(535, b"535 5.7.8 no"), Refusal::Mechanism);
    let mut exchange = start(Mechanism::External, &certificate("me@example.com"));
    assert_eq!(text(&exchange.first_line()), "AUTH EXTERNAL bWVAZXhhbXBsZS5jb20=\r\n");
    assert_eq!(ended(exchange.handle_reply(235, b"2.7.0 Yes")), Outcome::SignedIn);

    let refused = |mechanism, credentials: Credentials| Exchange::start(mechanism, &credentials, "h", 1).err();
    assert_eq!(
        refused(Mechanism::External, password("u", "p")),
        Some(SaslError::WrongSecret(Mechanism::External))
    );
    assert_eq!(
        refused(Mechanism::Plain, certificate("")),
        Some(SaslError::WrongSecret(Mechanism::Plain))
    );
}

#[test]
fn a_refusal_before_the_password_is_none_of_the_password() {
    let mut exchange = start(Mechanism::Login, &password("test", "1234"));
    exchange.first_line();
    assert_eq!(exchange.refusal(535, b"535 5.7.8 no"), Refusal::Mechanism);
    sent(exchange.handle_reply(334, b"VXNlcm5hbWU6"));
    assert_eq!(exchange.refusal(535, b"535 5.7.8 no"), Refusal::Mechanism);
    sent(exchange.handle_reply(334, b"UGFzc3dvcmQ6"));
    assert_eq!(exchange.refusal(535, b"535 5.7.8 no"), Refusal::Secret);
    let mut exchange = start(Mechanism::Plain, &password("test", "1234"));
    exchange.first_line();
    assert_eq!(exchange.refusal(535, b"535 5.7.8 no"), Refusal::Secret);
    assert_eq!(exchange.refusal(504, b"504 5.5.4 no"), Refusal::Mechanism);
}

proptest! {
    #[test]
    fn no_form_of_a_secret_survives_scrubbing(
        secret in "[ -~]{8,60}", before in "[ -~]{0,20}", after in "[ -~]{0,20}", upper: bool
    ) {
        let exchange = start(Mechanism::Plain, &password("user", &secret));
        let encoded = STANDARD.encode(&secret);
        let response = STANDARD.encode(format!("\0user\0{secret}"));
        for form in [&secret, &encoded, &response] {
            let echo = format!("535 {before}{form}{after}");
            let echo = if upper { echo.to_uppercase() } else { echo };
            let shown = text(&exchange.scrub(echo.as_bytes())).to_lowercase();
            prop_assert!(!shown.contains(&form.to_lowercase()), "{} shows {}", shown, form);
        }
    }

    #[test]
    fn any_dialogue_ends(replies in prop::collection::vec((300u16..600, prop::collection::vec(any::<u8>(), 0..40)), 6)) {
        for mechanism in Mechanism::ALL {
            let credentials = match mechanism {
                Mechanism::External => Credentials::certificate(Secret::new("u".to_owned())),
                mechanism if mechanism.takes_token() => token("u", "t"),
                _ => password("u", "p"),
            };
            let mut exchange = start(mechanism, &credentials);
            exchange.first_line();
            let ends = replies.iter().any(|(code, text)| matches!(exchange.handle_reply(*code, text), Next::Done(_)));
            let stubborn = replies.iter().all(|(code, _)| *code == 334);
            prop_assert!(ends, "{:?} goes on (only prompts: {})", mechanism, stubborn);
        }
    }
}
