"""What the documentation of Momentum 3 (content/momentum/3/3-api) says of its C
API for receiving mail: each name is in a header that is installed, or
mailmill-momentum(3) says that it is not here, why, and what to use."""
import glob
import re

from tree import text

PAGE = 'man/mailmill-momentum.3'

FUNCTIONS = '''
build_event build_event_from_epoch build_event_from_now build_event_from_now_f
build_fd_event event_close event_free event_post_dup event_read event_write
event_io_read event_io_write event_io_write_string event_io_printf
event_io_retry event_io_state_clean
schedule_event schedule_event_and_dispatch sp_async_schedule_event
get_event_by_fd get_fd_event_set get_floating_event_set clear_event_by_fd
clear_timed_event float_event set_delayed_queue_event sp_async_fail
sp_sync_close sp_make_swap_out_job
is_scheduler_thread ping_scheduler scheduler_recurrent_func_add
scheduler_register get_now get_now_ts scheduler_active_queue_reinsert
scheduler_close_connection scheduler_reuse_connection
tryread_until trywrite trywritef minimal_tryread_construct_free
esmtp_message_factory esmtp_message_factory_state
esmtp_destroy_message_construct esmtp_extensions_register
read_smtp read_smtp2 register_smtp_client_state smtp_client_args_add
smtp_client_args_delete smtp_client_args_exists_and_fetch
smtp_error_classify smtp_error_classify_len smtp_error_for_id
smtp_error_register_class smtp_error_retrieve_class smtp_get_state
smtp_get_state_machine smtp_next_state smtp_parse_capabilities
netlistener_register3 netlistener_register4 netlistener_register_option
netlistener_instantiate_addr netlistener_stop_instance
netlistener_clean_accept_construct netlistener_instance_addref
netlistener_instance_delref accept_construct_get_message_construct
ec_generate_connection_id dec_inbound_connections
ec_config_option_fetch_generic sockaddr_to_string_opt
validate_context_init validate_context_destroy validate_context_set
validate_context_get validate_context_exists validate_context_exists_and_get
validate_context_delete validate_context_find_message_construct
validate_context_set_code validate_context_can_modify_rcpts
validate_context_add_rcpt validate_context_remove_rcpt
validate_context_remove_all_rcpts validate_context_iterate_rcpt
dict_blank dict_drop dict_add_key_value dict_key_exists
dict_key_exists_and_fetch dict_key_delete dict_iter dict_next dict_iter2
dict_iter2_free dict_serialize dict_unserialize
ec_ssl_ctx_from_event ec_ssl_is_event_ssl ec_ssl_set_ctx_param
ec_ssl_set_ctx_verify_mode ec_ssl_set_verify_errmsg
ec_log_reception ec_log_rejection ec_log_rejection2 log1_printf
ec_queue_async_job ec_queue_async_job_ ec_async_wake_event
ec_async_wake_validation_module ec_async_complete_tail
io_wrapper_create_read_job io_wrapper_free_read_job
string_init_type string_destroy stringprintf stringwrite2
ec_malloc ec_malloc_size ec_free ec_mt_strdup
EC_DECLARE_HOOK EC_DECLARE_VOID_HOOK module_add_hook_first
module_add_hook_last
swap_out_multi ec_spool_ctx_construct_filename ec_spool_ctx_create
ec_spool_ctx_enum_messages ec_spool_ctx_filter_open
ec_spool_ctx_get_spool_base ec_spool_ctx_import_message ec_spool_ctx_lock
ec_spool_ctx_remove_mid ec_spool_ctx_set_always_regenerate_message_ids
ec_spool_ctx_set_max_retention ec_spool_ctx_set_suppress_trace_headers
ec_spool_ctx_spool_in ec_spool_ctx_swap_out_met ec_spool_ctx_unlock
ec_spool_in ec_spool_in2 ec_spool_in_depfd ec_swap_remove ec_swap_remove_meta
get_disk_queue_size get_spool_name mid_to_spool_name spool_disk_queue_state
spool_in spool_in_depfd spool_name_to_mid
'''
# those that touch reception; then the others, for sending, the DNS and queues
HOOKS = '''
validate_accept validate_connect pre_esmtp_auth validate_auth
pre_ec_can_relay_to config_get_domain_relay post_smtp_command
validate_data_spool_each_rcpt post_validate_data_spool_each_rcpt_v1
post_validate_set_binding final_validation final_validation2
post_final_validation get_received_header_text
get_protocol_string_for_trace_headers get_inbound_tls_parameters
inbound_smtp_tls_verify_callback inbound_smtp_tls_post_accept
ec_ssl_SSL_CTX_fixup esmtp_message_sp_async_samfunc swap_out_multi
pre_swap_out_meta post_swap_in_meta ec_message_enqueue disk_queue_core_inject
msg_gen_data_spool log_reception_v1 log_rejection aaa_log log_error log_reopen
log_spool_import inc_inbound_connections dec_inbound_connections
server_esmtp_session_abort pre_event_close post_event_read post_event_write
ec_message_mcmt_pre_fixup ec_message_mcmt_fixup
ec_message_part_get_content_type body_modify pre_drop_privileges
post_drop_privileges pre_console_release post_config_commit
config_option_pre_set config_option_post_set config_rsrc_setup
control_shutdown control_shutdown_ex validate_expand_string gauge_cache_manip
cache_get cache_set smtp_tls_reporting

__mail_queue_maintain annotate_batch assess_batch binding_group_choose_binding
bounce_error_classify check_outbound_conn_throttle check_outbound_mess_throttle
config_fetch_domain_routes config_get_domain_host_failure_retry
config_get_message_routing_domain connection_goal connection_post_bind
control_allow_writable_config control_allow_writable_config2
control_post_command control_post_control control_pre_command
dec_outbound_connections dns_get_As dns_get_MXs
domain_requires_master_scheduler ec_bag_find ec_message_set_next_attempt
ec_mime_component_extract_content_type generate_bounces
generate_rfc3464_message generate_rfc3464_message_preamble
generate_soft_bounce_message generate_soft_bounce_message_preamble
get_msg_expiration_params get_outbound_tls_parameters
inc_outbound_conn_throttle inc_outbound_connections inc_outbound_mess_throttle
is_adaptive_scope_global log_attempt_v1 log_client_connection_failure
log_client_connection_success log_delivery_v1 log_permanent_failure_v1
log_transient_failure_v1 mail_queue_get_next_active mail_queue_insert_active
mail_queue_maintain_domain mailq_get_next_active mailq_insert_active
message_body_in_core outbound_smtp_tls_verify_callback outbound_tls_ca
outbound_tls_cert outbound_tls_ciphers outbound_tls_key outbound_tls_verify
post_assemble_fwd_message post_dns_handle_a post_dns_handle_mx
post_generate_rfc3464_message post_generate_soft_bounce_message
post_initiate_connection_smtp post_mail_queue_maintain_domain post_read_smtp
pre_dns_handle_a pre_dns_handle_mx pre_mail_queue_maintain_domain
pre_mail_queue_message_requeue pre_mailq_message_requeue pre_read_smtp
premigrate_outbound_connection rfc3464_inline_message_fragment
set_delayed_queue_event smtp_client_mailfrom_args smtp_client_rcptto_args
smtp_client_xclient_args smtp_error_classify smtp_should_session_shutdown
sys_init use_outbound_tls veto_host_connection
'''
CALLBACKS = '''
validate_connect validate_ehlo validate_mailfrom validate_rcptto
validate_rcptto_list validate_rcptto_list_final validate_data
validate_data_spool validate_data_spool_each_rcpt validate_set_binding
validate_local_alloc validate_local_dealloc
'''
NAMES = '''
EventFunc RecurFunc ESMTPExtensionSetup ESMTPExtensionFunc
ec_ssl_verify_callback_func Event event_io_opset event_io_state
minimal_tryread_construct grow_buf accept_construct netlistener_instance
netlistener_def esmtp_extension_call message_construct validate_context string
message_id ec_ssl_ctx ec_ssl_ctx_params sp_async_message ec_async_job io_job
ec_thread_pool_work_func ec_thread_pool_completion_func ec_scheduler_impl
ec_scheduler_inst ECDict ECDict_Iterator eclist_node ec_message ec_sockaddr
ec_config_option_def ec_config_header ec_config_value
AcceptFunc ReadFunc WriteFunc CloseFunc SendFileFunc
E_READ E_WRITE E_EXCEPTION E_TIMEOUT E_ASYNC E_AGGRESSIVE_NONE
E_AGGRESSIVE_LOW E_AGGRESSIVE_MED E_AGGRESSIVE_HIGH E_FROM_EPOCH E_FROM_NOW
EVENT_IO_DONE EVENT_IO_PENDING EVENT_IO_ERROR EVENT_IO_EOF
TRYREAD_UNTIL_CRLF TRYREAD_UNTIL_CRLFDOTCRLF
VALIDATE_CONT VALIDATE_DONE VALIDATE_AGAIN VCTX_MESS VCTX_CONN
ECMESS_CTX_MESS ECMESS_CTX_CONN EC_HOOK_CONT EC_HOOK_DONE EC_HOOK_RETRY
EC_AUTH_OK EC_AUTH_FAIL EC_AUTH_ERROR EC_SCHEDULER_INIT EC_SA2S_NO_PORT
EC_COMPAT_2_2_SOURCE EC_COMPAT_2_1_SOURCE P_ESMTP
MEMTYPE_EVENT MEMTYPE_MESSAGE_BODY MEMTYPE_SIEVE MEMTYPE_STRING
MEMTYPE_MESSAGE_CONSTRUCT MEMTYPE_EC_ASYNC_JOB MEMTYPE_ACCEPT_CONSTRUCT
MEMTYPE_VALIDATE_DATA MEMTYPE_IO_OBJECT MEMTYPE_IS_MALLOC_3C
STRING_TYPE_MALLOC STRING_TYPE_ECSTRING STRING_TYPE_MESSAGE_BODY
STRING_TYPE_SIEVE STRING_TYPE_STATIC STRING_TYPE_DISK_BACKED
STRING_TYPE_IO_OBJECT STRING_TYPE_GROWBUF STRING_TYPE_GROWABLE_STATIC
MC_STATE_START MC_STATE_START_RESPONSE MC_STATE_EHLO MC_STATE_EHLO_RESPONSE
MC_STATE_MAILFROM MC_STATE_MAILFROM_RESPONSE MC_STATE_RCPTTO
MC_STATE_RCPTTO_RESPONSE MC_STATE_DATA MC_STATE_BODY MC_STATE_BODY_RESPONSE
MC_STATE_ASYNC_BODY_RESPONSE MC_STATE_OK MC_STATE_RELAYING_DENIED
MC_STATE_EXTENSION_1 MC_STATE_EXTENSION_2 MC_STATE_EXTENSION_3
MC_STATE_EXTENSION_4 MC_STATE_CONCURRENCY_LIMIT
MC_STATE_RCPTTO_LIST_RESPONSE MC_STATE_RCPTTO_LIST_FINAL_RESPONSE
MC_STATE_SETUP MC_STATE_MCMT_FIXUP MC_STATE_COUNT
NLSN_SYS_NEVER_ATTEMPTED NLSN_SYS_SOCKET NLSN_SYS_IOCTL NLSN_SYS_BIND
NLSN_SYS_LISTEN ECTP_COMPLETE_NONE ECTP_COMPLETE_EVENT ECTP_COMPLETE_MODULE
ECTP_COMPLETE_CALLBACK ECTP_COMPLETE_SEMAPHORE ECTP_COMPLETE_SYNC
ECTP_COMPLETE_CALLBACK_SCHED ECTP_COMPLETE_EVENT_INST
ECTP_COMPLETE_CALLBACK_SCHED_INST ECTP_CLASS_SHORT_LIVED ECTP_CLASS_CPU
ECTP_CLASS_IO ECTP_CLASS_SWAPOUT ECTP_CLASS_SWAPIN ECTP_CLASS_CLOSE
ECTP_CLASS_UNLINK ECTP_CLASS_BATCH_UNLINK ECTP_CLASS_SPOOL_IN
ECTP_CLASS_ASYNC_BOUNCE ECTP_CLASS_SIEVE_IO
IOJ_MISUSED IOJ_OPEN_FAILED IOJ_READ_FAILED IOJ_STORE_FAILED IOJ_COMPLETED
SPOOL_MEM SPOOL_SWAP SPOOL_DISK EC_MSG_MIME_OK EC_MSG_MIME_INVALID
EC_MSG_MIME_FATALLY_BAD EC_MSG_SWAP_RESULT_ERR EC_MSG_SWAP_RESULT_COMPLETE
EC_MSG_SWAP_RESULT_PARTIAL IO_DONE IO_FAIL IO_TRANS_FAIL
EC_MESSAGE_ENQUEUE_HOOK_CONT EC_MESSAGE_ENQUEUE_HOOK_OK
EC_MESSAGE_ENQUEUE_HOOK_ERR MCMT_RECEPTION_ALLOW MCMT_RECEPTION_REJECT
MCMT_RECEPTION_PASSTHRU EC_MSG_MCMT_OK EC_MSG_MCMT_INVALID EC_MSG_MCMT_ERROR
DDEBUG DINFO DNOTICE DWARNING DERROR DCRITICAL
mgb_buffer mgb_donebuffer mgb_donesize mgb_padding mgb_match_hook
mgb_match_closure mgb_finalize_hook mgb_finalize_closure
'''
# by the tags of the structs here
MEMBERS = {
    'Event': ('_Event', '''trigger io_data io_opset aggressive trace unused
        mask fd callback closure scheduled_thread'''),
    'event_io_opset': ('ec_event_io_opset', '''event_accept event_read
        event_write event_close event_sendfile'''),
    'event_io_state': ('_event_io_state', '''buf optype buflen bufsize offset
        needmask'''),
    'minimal_tryread_construct': ('_minimal_tryread_construct', '''gb_buffer
        gb_donesize gb_donebuffer gb_padding max_region_size match_hook
        match_closure finalize_hook finalize_closure page_out_hook
        page_out_closure'''),
    'accept_construct': ('_accept_construct', '''death remote_addr
        accept_construct_closure protocol listener_inbound_sessions
        listener_inbound_sessions_ipv6 inst conn_id'''),
    'netlistener_instance': ('_netlistener_instance', '''def address la fd
        last_errno failed_syscall from_config pending_cull _spare
        accept_queue_backlog head tail nb_event_list_lock refcnt
        inbound_sessions inbound_sessions_ipv6 events_per_iter enabled
        file_mode a_q_backlog jobclass recvbuf_size sendbuf_size
        disable_nagle event_loop'''),
    'netlistener_def': ('_netlistener_def', '''prefix hashkey servercode
        closure skip _spare accepthook opt_enable opt_file_mode opt_backlog
        opt_concurrency opt_accept_queue_backlog opt_events_per_iter
        opt_pool_name opt_recvbuf opt_sendbuf opt_disable_nagle
        opt_event_loop'''),
    'message_construct': ('_message_construct', '''subcon ac write_buffer
        write_goal bytes_written last_state_time state extension_call
        smtp_capabilities relayable can_auth internal banner_hostname
        received_hostname static_banner idle_timeout connection_message_limit
        connection_message_count connection_rcpt_limit connection_rcpt_count
        message_rcpt_limit message_rcpt_count
        allow_trailing_whitespace_in_commands mcmt_reception extra_recipients
        message sam vstr ctx transient_state status retstatus note auth_info
        session_permfail should_enqueue tls_inject unused peer_address
        max_message_size'''),
    'validate_context': ('validate_context', '''session env bag module_data
        code note tcost transaction modules ec_internal_visses calls
        last_module last_state disconnect deschedule old_phase
        needs_auth_results body_has_changed transparency'''),
    'string': ('_ec_string', 'len allocd buffer type backing'),
    'message_id': ('_message_id', 'slot pid counter'),
    'ec_ssl_ctx': ('_ec_ssl_ctx', '''ssl_ctx ssl error_code error_string
        verify_cb verify_closure'''),
    'ec_ssl_ctx_params': ('ec_ssl_ctx_params', '''use_tls tls_verify certfile
        keyfile ca cipherlist'''),
    'ec_async_job': ('ec_thread_pool_job', '''next completion job_class
        concurrency worker closure r e event mask ctx inst cb func sema
        free_on_completion_memtype skip_completion skip_on_shutdown
        _spare_bits file line'''),
    'io_job': ('_io_job', 'job filename buffer errorcode status'),
    'ec_scheduler_impl': ('_scheduler_impl', '''name sizeof_scheduler_impl
        init get_pid get_fd_event_set get_floating_event_set get_timeheap
        get_current_dispatch get_scheduler_iteration is_scheduler_thread
        float_event unfloat_event schedule_event clear_timed_event
        clear_event_by_fd get_event_by_fd update_event_mask_by_fd
        scheduler_eventloop ping_scheduler relax_shutdown_assertions
        abi_change_for_ec_scheduler_inst'''),
    'ec_message': ('_ec_message', '''id creation_time next_attempt final_time
        vctx_conn vctx_mess _mailfrom _rcptto _code ref swapped unlink_on_free
        invalid_mime recv_method recv_from recv_via conn_id batch_id'''),
}
# heading of the page: the names that may be below it
KINDS = {
    'Functions': set(FUNCTIONS.split()), 'Hooks': set(HOOKS.split()),
    'Callbacks of modules': set(CALLBACKS.split()),
    'Types and constants': set(NAMES.split()),
    'Members': {f'{struct}.{m}' for struct, (_, members) in MEMBERS.items()
                for m in members.split()},
}


def code(root):
    """The headers that are installed, without comments."""
    s = '\n'.join(text(p) for pattern in (
        'core/*.h', 'proto/*.h', 'proto/*.def', 'tls/library/*.h',
        'tls/ec_ssl.h') for p in sorted(glob.glob(f'{root}/{pattern}')))
    return re.sub(r'/\*.*?\*/', ' ', s, flags=re.S)


def here(headers):
    """What of each kind the headers have."""
    words = set(re.findall(r'\w+', headers))
    hooks = set(re.findall(r'^EC_HOOK_\w+\((\w+),', headers, re.M))
    phases = {'validate_' + p.lower() for p in
              re.findall(r'\bVALIDATE_PHASE_(\w+)', headers)}
    found = {}
    for name, (tag, members) in MEMBERS.items():
        body = re.search(rf'\bstruct {tag} \{{(.*?)^\}}', headers,
                         re.M | re.S)
        there = set(re.findall(r'\b(\w+)(?:\)\(|\[|;| :|,)',
                               body[1])) if body else set()
        found |= {f'{name}.{m}': m in there for m in members.split()}
    # a prototype, a macro, or another name for a symbol (names.h)
    functions = set(re.findall(r'\b(\w+)\(', headers)) | set(
        re.findall(r'^#\s*define\s+(\w+)', headers, re.M))
    return {'Functions': functions & KINDS['Functions'], 'Hooks': hooks,
            'Callbacks of modules': phases,
            'Types and constants': words & KINDS['Types and constants'],
            'Members': {n for n, is_there in found.items() if is_there}}


def said(page, kind):
    """[(names, what is said of them)] of the list of that kind."""
    part = re.search(rf'^\.Ss {kind} that are not here\n(.*?)^\.(?:S[hs]) ',
                     page, re.M | re.S)
    for item in re.split(r'^\.It\n', part[1] if part else '', flags=re.M)[1:]:
        names, _, body = item.partition('.br\n')
        yield (re.findall(r'[\w.]*\w', ' '.join(
            line.partition(' ')[2] for line in names.split('\n'))),
            body.partition('.El')[0])


def each_documented_name_is_here_or_in_the_manual(root, objects):
    """And what the manual says to use in its place is here."""
    page, headers = text(f'{root}/{PAGE}'), code(root)
    there = here(headers)
    for kind, documented in KINDS.items():
        rows = list(said(page, kind))
        absent = {n for names, _ in rows for n in names}
        if sum(len(names) for names, _ in rows) != len(absent):
            yield f'{PAGE}: {kind}: names a name twice'
        for n in sorted(documented - there[kind] - absent):
            yield f'{PAGE}: {kind}: does not say that there is no {n}'
        for n in sorted(absent & there[kind]):
            yield f'{PAGE}: {kind}: says that there is no {n}'
        for n in sorted(absent - documented):
            yield f'{PAGE}: {kind}: {n} is not a documented name'
        for names, body in rows:
            if len(body.split()) < 2:
                yield f'{PAGE}: {kind}: no reason is given for {names}'
            for n in re.findall(r'^\.(?:Fn|Va|Dv|Vt) (?:struct |enum )?(\w+)',
                                body, re.M):
                hook = re.fullmatch(r'register_core_(\w+)_hook_last', n)
                if n != 'main' and not (
                        hook[1] in there['Hooks'] if hook else
                        re.search(rf'\b{n}\b', headers)):
                    yield f'{PAGE}: {kind}: names {n}, which is not here'


CHECKS = [each_documented_name_is_here_or_in_the_manual]
