/* mailmill in libuv's loop. */

#include <uv.h>

#include "receiver.h"

static uv_poll_t watched;
static uv_timer_t deadline, disk;

static void wait_for(Event *e, int mask);

/* The step may close the descriptor, which libuv must not poll then. */
static void
step(Event *e, int type)
{
	uv_poll_stop(&watched);
	wait_for(e, receiver_step(e, type));
}

static void
on_event(uv_poll_t *handle, int status, int what)
{
	Event *e = (Event *)handle->data;
	int type = 0;

	if (status < 0 || what & UV_READABLE)
		type |= E_READ;
	if (what & UV_WRITABLE)
		type |= E_WRITE;
	step(e, type);
}

static void
on_deadline(uv_timer_t *handle)
{
	step((Event *)handle->data, E_TIMEOUT);
}

static void
on_disk(uv_timer_t *handle)
{
	receiver_commit();
	step((Event *)handle->data, E_ASYNC);
}

static void
wait_for(Event *e, int mask)
{
	int what = 0;

	if (mask == 0) {
		uv_close((uv_handle_t *)&watched, NULL);
		uv_close((uv_handle_t *)&deadline, NULL);
		uv_close((uv_handle_t *)&disk, NULL);
		return;
	}
	if (mask & E_READ)
		what |= UV_READABLE;
	if (mask & E_WRITE)
		what |= UV_WRITABLE;
	if (what != 0)
		uv_poll_start(&watched, what, on_event);
	if (mask & E_TIMEOUT)
		uv_timer_start(&deadline, on_deadline,
		    (uint64_t)receiver_timeout_ms(e), 0);
	else
		uv_timer_stop(&deadline);
	if (receiver_must_commit())
		uv_timer_start(&disk, on_disk, 1, 0);
}

int
main(void)
{
	uv_loop_t *loop = uv_default_loop();
	Event *e = receiver_start();

	uv_poll_init(loop, &watched, e->fd);
	uv_timer_init(loop, &deadline);
	uv_timer_init(loop, &disk);
	watched.data = deadline.data = disk.data = e;
	wait_for(e, E_WRITE);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_loop_close(loop);
	return receiver_check("libuv");
}
