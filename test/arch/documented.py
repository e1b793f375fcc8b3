"""What the documentation of Momentum 4 says of the options of an ESMTP_Listener
(config-options-summary.md and the pages of the options), and whether
mailmill.conf(5) tells all that is different here."""
import re

from tree import text

# name: default, as the tables of this tree write one; None: the documentation
# gives none, which is an option that is not set
OPTIONS = {
    'accept_queue_backlog': '0', 'allow_ip_literal': 'true',
    'allow_null_envelope_sender': 'true',
    'allow_trailing_whitespace_in_commands': 'false',
    'always_allow': 'false', 'always_deny': 'false',
    'authcrammd5parameters': None, 'authdigestmd5parameters': None,
    'authloginparameters': None, 'authorizationparameters': None,
    'authplainparameters': None, 'banner_hostname': None,
    'click_tracking_enabled': 'false', 'click_tracking_scheme': 'http',
    'concurrency': '0', 'context': None, 'disable_nagle_algorithm': 'false',
    'domain_for_unqualified_recipient_addresses': None,
    'domain_for_unqualified_sender_address': None, 'enable': 'true',
    'enable_authentication': None, 'event_loop': None,
    'events_per_iter': '0', 'file_mode': '0660', 'idle_time': '300',
    'listen_backlog': '500', 'listener_sessions': '0',
    'max_message_size': '0', 'max_receptions_per_connection': '0',
    'max_recipients_per_connection': '0', 'max_recipients_per_message': '0',
    'mcmt_reception': 'passthru', 'open_tracking_enabled': 'false',
    'open_tracking_scheme': 'http', 'open_relay': 'false', 'pathway': None,
    'pool_name': None, 'proxy_protocol': 'false',
    'proxy_protocol_timeout': '60', 'received_hostname': None,
    'reconfig_message': '4.3.2 Reconfiguration in progress',
    'relay_for_sending_domains': None, 'relay_hosts': None,
    'require_ehlo': 'false', 'service_sessions': '0',
    'smtp_extensions': None, 'starttls_injection_policy': 'reject',
    'static_banner': None, 'tcp_recv_buffer_size': '4096',
    'tcp_send_buffer_size': '4096', 'tls_allow_renegotiation': 'true',
    'tls_certificate': None, 'tls_ciphers': None,
    'tlsv13_ciphersuites': None, 'tls_client_ca': None, 'tls_key': None,
    'tls_protocols': '+ALL', 'tls_verified_peer_can_relay': 'false',
    'tls_verify_mode': 'optional', 'tracking_domain': 'localhost:8080',
    'tracking_link_expiry': '31536000', 'use_ssl': 'false',
    # not in an ESMTP_Listener itself, but with an effect on its sessions
    'alias_schemes': None, 'bounce_domains': None,
    'default_charset': 'us-ascii', 'duravip_follow': None,
    'duravip_preference': None, 'enable_duravip': None,
    'generate_bounces_for_multi_recipient_policy_rejections': 'true',
    'inbound_throttle_messages': None, 'relay_domains': None,
    'rfc2821_allow_whitespace_in_envelope': 'false',
    'rfc2821_pedantic_address_rules': 'true',
    'rfc2822_date_header': 'ifneeded', 'rfc2822_lone_lf_in_body': 'ignore',
    'rfc2822_lone_lf_in_headers': 'pedantic',
    'rfc2822_max_line_length': 'ignore',
    'rfc2822_max_line_length_policy': 'none',
    'rfc2822_messageid_header': 'ifneeded',
    'rfc2822_missing_headers': 'reject', 'rfc2822_trace_headers': 'true',
}
TABLES = 'proto/options/esmtp_option.def', 'cmd/settings/setting.def'
PAGE = 'man/mailmill.conf.5'
UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}


def seconds(value):
    return str(sum(int(n) * UNITS[u]
                   for n, u in re.findall(r'(\d+)([smhd])', value)))


def here(root):
    """{name: default} of the tables."""
    return {name.lower(): seconds(default) if kind == 'TIME' and
            default != '0' else default.split('|')[0]
            for table in TABLES
            for name, kind, default in re.findall(
                r'^\w+\((?:\w+, )?"(\w+)",\s*\w+,\s*(\w+),\s*"(.*?)"',
                text(f'{root}/{table}'), re.M)}


def listed(root, heading):
    """The names in the list below that heading."""
    part = re.search(rf'^\.Ss {heading}\n(.*?)^\.S[hs] ',
                     text(f'{root}/{PAGE}'), re.M | re.S)
    return {n.lower() for line in
            re.findall(r'^\.It (.*)', part[1] if part else '', re.M)
            for n in re.findall(r'\b[A-Z]\w+', line.partition(' Ta ')[0])
            if n not in ('Va', 'Em', 'Ta')}


def differences_are_in_the_manual(root, objects):
    """Each documented option is here, or the manual says that it is not; where
    its default is another one, the manual says so, too."""
    have = here(root)
    other, absent = (listed(root, h) for h in ('Other values', 'Not here'))
    if len(have) < 60 or len(other) < 10 or len(absent) < 30:
        yield f'{PAGE}: {len(have)} options, {len(other)} other values, ' \
            f'{len(absent)} options that are not here'
    for name, default in OPTIONS.items():
        if name not in have:
            if name not in absent:
                yield f'{PAGE}: does not say that there is no {name}'
        elif have[name] != (default or '') and name not in other:
            yield f'{PAGE}: does not say that the default of {name} is not ' \
                f'"{default or ""}"'
    for name in sorted(absent & set(have)):
        yield f'{PAGE}: says that there is no {name}'
    for name in sorted((absent | other) - set(OPTIONS)):
        yield f'{PAGE}: {name} is not a documented option'
    for name in sorted(other - set(have)):
        yield f'{PAGE}: there is no {name}'


CHECKS = [differences_are_in_the_manual]
