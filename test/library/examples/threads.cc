// C++: a few threads check passwords and store messages, and answer when that is done.
// STARTTLS and logins are libmailmill-tls's; without them no mail is taken.
//	threads 127.0.0.1:2525 CERTIFICATE KEY

#include <mailmill/mailmill_sasl.h>
#include <mailmill/mailmill_server.h>
#include <mailmill/mailmill_tls.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>

static struct mailmill_sasl *sasl;
static std::mutex output;

// A few threads, and the jobs that wait for one: no more than can be done in time.
struct Pool {
	static const unsigned THREADS = 4;
	static const size_t JOBS_MAX = 100;
	std::deque<std::function<void()>> jobs;
	std::mutex lock;
	std::condition_variable ready;

	void work()
	{
		std::unique_lock<std::mutex> guard(lock);
		for (;;) {
			ready.wait(guard, [this] { return !jobs.empty(); });
			auto job = std::move(jobs.front());
			jobs.pop_front();
			guard.unlock();
			job();
			guard.lock();
		}
	}

	bool queue(std::function<void()> job)
	{
		std::lock_guard<std::mutex> guard(lock);
		if (jobs.size() == JOBS_MAX)
			return false;
		jobs.push_back(std::move(job));
		ready.notify_one();
		return true;
	}
};
static Pool &pool = *new Pool;	// its threads use it until the process has ended

static int
message(void *, struct mailmill_mail *mail, const char *)
{
	// the mail lives until it is answered, also if its session ends before
	bool is_queued = pool.queue([mail] {
		size_t len;
		const char *body = mailmill_mail_body(mail, &len);
		bool is_stored;
		{
			std::lock_guard<std::mutex> guard(output);
			std::cout << mailmill_mail_sender(mail) << " to " << mailmill_mail_rcpt(mail, 0) << "\n" << std::string(body, len) << std::flush;
			is_stored = std::cout.good();
			std::cout.clear();
		}
		mailmill_mail_answer(mail, is_stored ? 250 : 451, nullptr);
	});
	return is_queued ? MAILMILL_LATER : 451;
}

static enum mailmill_sasl_verdict
password(void *, accept_construct *, const char *user, const char *password, uint64_t question)
{
	bool is_queued = pool.queue([question, name = std::string(user), word = std::string(password)] {
		mailmill_sasl_answer(sasl, question, name == "user" && word == "secret" ? MAILMILL_SASL_YES : MAILMILL_SASL_NO, nullptr);
	});
	return is_queued ? MAILMILL_SASL_LATER : MAILMILL_SASL_UNSURE;
}

int
main(int argc, char **argv)
{
	char why[MAILMILL_TLS_ERROR_MAX] = "no memory";
	struct mailmill_server *server = mailmill_server_new("mx.example.test", message, nullptr);
	struct mailmill_tls *tls;

	if (argc != 4) {
		std::cerr << "usage: threads ADDRESS:PORT CERTIFICATE KEY\n";
		return 2;
	}
	if (server == nullptr ||
	    mailmill_server_set(server, "TLS_Certificate", argv[2], why, sizeof(why)) == -1 ||
	    mailmill_server_set(server, "TLS_Key", argv[3], why, sizeof(why)) == -1 ||
	    mailmill_server_set(server, "Require_Auth", "true", why, sizeof(why)) == -1 ||
	    (tls = mailmill_tls_new(mailmill_server_options(server), why, sizeof(why))) == nullptr) {
		std::cerr << why << "\n";
		return 1;
	}
	sasl = mailmill_sasl_new(password, nullptr, nullptr);
	if (sasl == nullptr || mailmill_tls_host(tls, mailmill_server_ops(server)) == -1 ||
	    mailmill_sasl_host(sasl, mailmill_server_ops(server)) == -1 ||
	    mailmill_server_listen(server, argv[1]) == -1) {
		perror(argv[1]);
		return 1;
	}
	for (unsigned i = 0; i < Pool::THREADS; i++)
		std::thread([] { pool.work(); }).detach();
	return mailmill_server_run(server) == -1;
}
