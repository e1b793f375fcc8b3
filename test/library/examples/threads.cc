// C++: threads check passwords and store messages, and answer when that is done.
// STARTTLS and logins are libmailmill-tls's; without them no mail is taken.
//	threads 127.0.0.1:2525 CERTIFICATE KEY

#include <mailmill/mailmill_sasl.h>
#include <mailmill/mailmill_server.h>
#include <mailmill/mailmill_tls.h>

#include <iostream>
#include <mutex>
#include <string>
#include <thread>

static std::mutex output;
static struct mailmill_sasl *sasl;

static int
message(void *, struct mailmill_mail *mail, const char *)
{
	// the mail lives until it is answered, also if its session ends before
	std::thread([mail] {
		size_t len;
		const char *body = mailmill_mail_body(mail, &len);
		{
			std::lock_guard<std::mutex> guard(output);
			std::cout << mailmill_mail_sender(mail) << " to " << mailmill_mail_rcpt(mail, 0) << "\n" << std::string(body, len) << std::flush;
		}
		mailmill_mail_answer(mail, 250, "2.0.0 Stored by a thread");
	}).detach();
	return MAILMILL_LATER;
}

static enum mailmill_sasl_verdict
password(void *, accept_construct *, const char *user, const char *password, uint64_t question)
{
	std::thread([question, name = std::string(user), word = std::string(password)] {
		mailmill_sasl_answer(sasl, question, name == "user" && word == "secret" ? MAILMILL_SASL_YES : MAILMILL_SASL_NO, nullptr);
	}).detach();
	return MAILMILL_SASL_LATER;
}

int
main(int argc, char **argv)
{
	char why[MAILMILL_TLS_ERROR_MAX] = "usage: threads ADDRESS CERTIFICATE KEY";
	struct mailmill_server *server = mailmill_server_new("mx.example.test", message, nullptr);
	struct mailmill_tls *tls;

	if (argc < 4 || server == nullptr ||
	    mailmill_server_set(server, "TLS_Certificate", argv[2], why, sizeof(why)) == -1 ||
	    mailmill_server_set(server, "TLS_Key", argv[3], why, sizeof(why)) == -1 ||
	    mailmill_server_set(server, "Require_Auth", "true", why, sizeof(why)) == -1 ||
	    (tls = mailmill_tls_new(mailmill_server_options(server), why, sizeof(why))) == nullptr) {
		std::cerr << why << "\n";
		return 1;
	}
	mailmill_tls_host(tls, mailmill_server_ops(server));
	sasl = mailmill_sasl_new(password, nullptr, nullptr);
	mailmill_sasl_host(sasl, mailmill_server_ops(server));
	if (mailmill_server_listen(server, argv[1]) == -1 || mailmill_server_run(server) == -1)
		perror("threads");
	return 1;
}
