//! EHLO, STARTTLS and AUTH: who is there, and how privately.

use super::sasl::{Exchange, Step};
use super::{Answer, Effect, Mode, Reply, Session, command};
use crate::event::{Direction, Event};
use crate::script::At;
use crate::settings::Security;

impl Session {
    pub(super) fn hello(&mut self, name: &str, extended: bool) -> Answer {
        if name.is_empty() {
            return self.fatal(501, "5.5.4 Empty HELO/EHLO argument not allowed, closing connection.");
        }
        if !command::is_domain(name) || !name.is_ascii() {
            return self.fatal(
                501,
                &format!("5.5.4 HELO/EHLO argument \"{name}\" invalid, closing connection."),
            );
        }
        let mut text = format!("{} at your service", self.settings.host_name);
        if extended {
            text.push_str(&format!("\nSIZE {}", self.settings.size_limit));
            let starttls = self.security == Security::StartTls && self.tls.is_none();
            let mut capabilities = self.settings.capabilities.iter();
            if let Some(first) = capabilities.next() {
                text.push_str(&format!("\n{first}"));
            }
            if starttls {
                text.push_str("\nSTARTTLS");
            } else if !self.settings.mechanisms.is_empty() {
                text.push_str(&format!("\nAUTH {}", self.settings.mechanisms.join(" ")));
            }
            for capability in capabilities {
                text.push_str(&format!("\n{capability}"));
            }
        }
        Answer {
            reply: Reply::new(250, text),
            effect: Effect::Hello(name.to_owned()),
        }
    }

    pub(super) fn starttls(&mut self) -> Answer {
        if self.tls.is_some() {
            return self.refuse(454, "5.5.1 STARTTLS may not be repeated");
        }
        if self.security != Security::StartTls {
            return self.refuse(502, "5.5.1 Unimplemented command.");
        }
        if self.taken < self.input.len() {
            // What was sent ahead in clear must never be read as if it had come over TLS.
            return self.fatal(
                454,
                "4.5.0 SMTP protocol violation, no commands allowed to pipeline after STARTTLS",
            );
        }
        Answer {
            reply: Reply::new(220, "2.0.0 Ready to start TLS"),
            effect: Effect::StartTls,
        }
    }

    pub(super) fn lacks_tls(&self) -> bool {
        self.security == Security::StartTls && self.settings.require_tls && self.tls.is_none()
    }

    pub(super) fn auth(&mut self, line: &str, mechanism: &str, initial: Option<&str>) {
        let refusal = if self.helo.is_none() {
            Some(self.refuse(503, "5.5.1 EHLO/HELO first."))
        } else if self.lacks_tls() {
            Some(self.refuse(530, "5.7.0 Must issue a STARTTLS command first."))
        } else if self.user.is_some() {
            Some(self.refuse(503, "5.7.0 No identity changes permitted."))
        } else if self.transaction.is_some() {
            Some(self.refuse(503, "5.5.1 AUTH not permitted during a mail transaction."))
        } else {
            None
        };
        let offered = self
            .settings
            .mechanisms
            .iter()
            .any(|name| name.eq_ignore_ascii_case(mechanism));
        match (refusal, Exchange::begin(mechanism).filter(|_| offered)) {
            (Some(answer), _) => self.answer(At::Auth, line.as_bytes(), answer),
            (None, None) => {
                let answer = self.refuse(504, "5.7.4 Unrecognized Authentication Type.");
                self.answer(At::Auth, line.as_bytes(), answer);
            }
            (None, Some(exchange)) => match initial {
                Some(response) => self.auth_step(At::Auth, line, exchange, response),
                None => {
                    let reply = Reply::new(334, exchange.first_prompt());
                    self.answer(
                        At::Auth,
                        line.as_bytes(),
                        Answer {
                            reply,
                            effect: Effect::Exchange(exchange),
                        },
                    );
                }
            },
        }
    }

    pub(super) fn auth_line(&mut self, exchange: Exchange, line: &[u8]) {
        self.record(Direction::Received, || "***".to_owned());
        // What is not text is not base64 either, and is refused as such.
        let text = line
            .strip_suffix(b"\r")
            .and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or("%");
        self.auth_step(At::AuthResponse, text, exchange, text);
    }

    fn auth_step(&mut self, at: At, line: &str, exchange: Exchange, response: &str) {
        let mechanism = exchange.mechanism;
        let step = exchange.step(response, &self.settings.credentials);
        let tls = self.tls.is_some();
        let mut rule = self.scene.rule(at, line.as_bytes(), tls);
        let answer = match step {
            Step::Challenge(next, prompt) => Answer {
                reply: Reply::new(334, prompt),
                effect: Effect::Exchange(next),
            },
            Step::Undecodable => self.refuse(501, "5.5.2 Cannot Decode response."),
            Step::Cancelled => self.refuse(501, "5.7.0 Authentication cancelled."),
            Step::Verdict { user, accepted } => {
                rule = rule.or_else(|| self.scene.rule(At::SignIn, line.as_bytes(), tls));
                let reply = if accepted {
                    Reply::new(235, "2.7.0 Accepted")
                } else {
                    self.signed(
                        535,
                        "5.7.8 Username and Password not accepted. For more information, go to\n\
                         5.7.8 https://support.google.com/mail/?p=BadCredentials",
                    )
                };
                Answer {
                    reply,
                    effect: Effect::SignIn {
                        user: user.unwrap_or_default(),
                        mechanism,
                    },
                }
            }
        };
        if matches!(answer.effect, Effect::Nothing) {
            self.events.push_back(Event::SignInRefused {
                connection: self.connection,
                user: None,
                mechanism,
            });
        }
        debug_assert!(matches!(self.mode, Mode::Command));
        self.answer_by(rule, answer);
    }
}
