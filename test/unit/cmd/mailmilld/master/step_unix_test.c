/* The master's state machine: clients of Unix sockets. */

#include "test/unit/cmd/mailmilld/master/step_fixture.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/mailmilld/role/vouch.h"
#include "core/process/stats.h"

TestSuite(step_unix, .init = step_setup_sessions, .fini = step_teardown);

static struct sockaddr_un at = { .sun_family = AF_UNIX };

/* A second listener, which has these options. */
static void
change_conf(const char *options)
{
	char line[256];

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/u", step_top);
	snprintf(line, sizeof(line), "conf workers = 2\nESMTP_Listener { "
	    "Listen \"unix:%s\" { %s } }", at.sun_path, options);
	step_happens(line);
}

/* From the second configuration on there is one. */
static void
start(const char *options)
{
	PLAY(STARTED);
	change_conf(options);
	PLAY(CHANGED_OVER);
}

/* A client, and what follows. */
static int
connect_to(const char *follows)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0, "%s",
	    strerror(errno));
	step_happens("wait 1");
	cr_assert_str_eq(step_said, follows);
	return fd;
}

/* And again, with what the file says now. */
static void
reload(void)
{
	step_happens("hup");
	step_happens("auth good; keys good");
	step_happens("ready all");
	cr_assert_not_null(strstr(step_said, "@3 ok"), "%s", step_said);
}

static mode_t
mode_of_file(void)
{
	struct stat st;

	return lstat(at.sun_path, &st) == -1 ? 0 : st.st_mode;
}

Test(step_unix, the_client_is_the_account_that_has_connected)
{
	struct step_child *w;
	struct vouched who;
	uint32_t uid;

	start("");
	connect_to("w1@2<");
	w = step_child_of("w1@2");
	cr_assert_eq(vouch_find(step_child_of("a1@2")->vouches[1],
	    w->sessions[0].handle, &who), VOUCH_FOUND);
	cr_assert(addr_uid(vouched_client(&who), &uid));
	cr_expect_eq(uid, geteuid());
	cr_expect_null(vouched_via(&who));
}

Test(step_unix, an_account_has_its_share_of_sessions)
{
	char text[128];
	ssize_t n;
	int fd;

	start("Client_Sessions = 2");
	connect_to("w1@2<");
	connect_to("w2@2<");
	fd = connect_to("");
	n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	cr_assert_gt(n, 4);
	cr_expect_eq(strncmp(text, "421 ", 4), 0);
	/* others have theirs */
	PLAY({ "connect", "w2@2<" });
}

Test(step_unix, a_reload_changes_the_rights_and_keeps_the_socket)
{
	struct stat before, after;

	start("");
	cr_expect_eq(mode_of_file(), S_IFSOCK | 0660);
	cr_assert_eq(lstat(at.sun_path, &before), 0);
	change_conf("File_Mode = 0600");
	reload();
	cr_assert_eq(lstat(at.sun_path, &after), 0);
	cr_expect_eq(before.st_ino, after.st_ino);
	cr_expect_eq(mode_of_file(), S_IFSOCK | 0600);
	connect_to("w1@3<");
}

/* Nobody could find the old one. */
Test(step_unix, a_reload_makes_a_file_that_has_gone_anew)
{
	start("");
	cr_assert_eq(unlink(at.sun_path), 0);
	reload();
	connect_to("w1@3<");
	/* and it stays, though the new file may have the number of the old */
	PLAY({ "wait 1", "" });
	cr_expect_eq(mode_of_file(), S_IFSOCK | 0660);
}

/* What it would have changed is as it was. */
Test(step_unix, a_reload_that_fails_leaves_the_socket)
{
	start("");
	change_conf("File_Mode = 0600 File_Owner = \"no such\"");
	step_happens("hup");
	step_happens("auth good; keys good");
	cr_expect_not_null(strstr(step_said, "no:"), "%s", step_said);
	cr_expect_eq(mode_of_file(), S_IFSOCK | 0660);
	connect_to("w1@2<");
}

Test(step_unix, a_reload_that_fails_removes_what_it_has_made)
{
	PLAY(STARTED);
	change_conf("");
	PLAY({ "hup", "?auth ?keys" }, { "fork fails", "" });
	step_happens("auth good; keys good");
	cr_expect_not_null(strstr(step_said, "no:"), "%s", step_said);
	cr_expect_eq(mode_of_file(), 0);
}

Test(step_unix, it_is_removed_when_it_is_not_wanted_any_more)
{
	start("");
	cr_expect_neq(mode_of_file(), 0);
	PLAY({ "conf workers = 2", "" });
	reload();
	cr_expect_eq(mode_of_file(), 0);
}

Test(step_unix, it_is_removed_at_a_stop_and_nothing_else_is)
{
	start("");
	step_happens("term");
	cr_expect_eq(mode_of_file(), 0);
	cr_expect_eq(step_master.phase, MASTER_STOPPING);
}

Test(step_unix, what_somebody_has_put_there_is_not_removed)
{
	start("");
	cr_assert_eq(unlink(at.sun_path), 0);
	cr_assert_eq(mkdir(at.sun_path, 0700), 0);
	step_happens("term");
	cr_expect_eq(mode_of_file(), S_IFDIR | 0700);
	rmdir(at.sun_path);
}

/* --- an old worker that an attacker controls ------------------------------ */

static void
give_away(int fd)
{
	struct step_child *c = step_child_of("w1@2");
	struct msg_move move = { .session.handle = c->sessions[0].handle,
		.moved.id = "0" };

	cr_assert_eq(channel_send(c->ch, M_MOVE, &move, NULL, 0, fd), 0);
	step_happens("wait 1");
}

/* The old worker w1@2 has a session, and has been told to end. */
static struct step_child *
draining(void)
{
	start("");
	connect_to("w1@2<");
	reload();
	return step_child_of("w1@2");
}

Test(step_unix, a_session_goes_on_in_a_new_worker)
{
	struct step_child *c = draining();

	give_away(c->sessions[0].fd);
	cr_expect_str_eq(step_said, "1 moved");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 0);
}

/* That is no client of the socket. */
static void
expect_end_for(int fd)
{
	draining();
	cr_assert_neq(fd, -1);
	give_away(fd);
	cr_expect_str_eq(step_said, "!w1@2");
	cr_expect_eq(stats_sum(STATS_HOSTILE_KILLS), 1);
	close(fd);
}

Test(step_unix, a_socket_of_tcp_in_place_of_a_client)
{
	expect_end_for(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

Test(step_unix, a_channel_in_place_of_a_client)
{
	expect_end_for(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

Test(step_unix, a_listener_in_place_of_a_client)
{
	struct sockaddr_un own = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&own, sizeof(sa_family_t)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	expect_end_for(fd);
}
