import type { Texts } from './en';

export const zh: Texts = {
  locale: 'zh-CN',
  other: 'English',
  nav: {
    label: '主菜单', overview: '总览', slots: '槽位', migrations: '迁移', groups: '分组', proxies: '代理', slowlog: '慢日志', audit: '审计', settings: '设置', api: 'API', skip: '跳到内容',
  },
  live: {
    live: '实时', stale: (seconds) => `${seconds} 前的数据`, lost: '连接中断',
    staleHint: '超过 5 秒没有收到服务器的消息：数字可能已过时，恢复之前不能做任何更改。',
  },
  top: {
    ops: '次/秒', p99: 'p99', clients: '客户端', theme: '配色：自动、浅色或深色', themeAuto: '自动', themeLight: '浅色', themeDark: '深色', account: '账户', logout: '退出登录',
    password: '修改密码', viewer: '您可以查看全部内容，但不能更改。管理员可以授予您 operator 角色。', readOnlyBanner: '服务器处于只读状态：不能做任何更改。',
  },
  roles: { viewer: '只读用户', operator: '操作员', admin: '管理员' },
  login: {
    title: '登录', name: '用户名', password: '密码', submit: '登录', wrong: '用户名或密码错误。',
    first: '首次启动？用户名是 admin，密码已在日志中打印一次，并保存在只有其所有者可读的文件中。',
    expired: '会话已结束。请重新登录，之后会回到原来的页面。', mustChange: '继续之前，请设置您自己的密码。', old: '当前密码', fresh: '新密码', again: '再次输入新密码', differ: '两次输入不一致。', change: '修改密码', changed: '密码已修改。', rule: '至少 8 个字符。',
  },
  common: {
    cancel: '取消', close: '关闭', save: '保存', loading: '加载中', reload: '重新加载', more: '更多', name: '名称', state: '状态', actions: '操作', role: '角色',
    copyCurl: '复制为 curl', copied: '已复制。', copyFailed: '无法复制，请手动选择文本。', typeName: (name) => `输入 ${name} 以确认`, optional: '可选', slots: '槽位', keys: '键', data: '数据', details: '详情', yes: '是', no: '否', unlimited: '不限', created: '创建时间', by: '由',
    remove: '移除', add: '添加', since: '自',
  },
  problems: {
    request: '请求编号',
    codes: {
      unreachable: '无法连接服务器。请检查 pikaproxy 是否在运行、网络是否可达；恢复后本页会自动继续。',
      unreadable: '无法读取服务器的回答，可能在途中被改动。',
      not_found: '对象已不存在，可能已被他人移除：请重新加载页面。',
      stale_version: '您查看之后，有人更改了拓扑。页面现在显示新的状态：请确认后重新操作。',
      plan_stale: '此计划生成之后拓扑已变化。请重新计算：执行的内容与展示的完全一致。',
      slot_busy: '其中一些槽位正在迁移。请等待迁移结束，或取消它。',
      group_not_empty: '该分组仍拥有槽位。请先将其清空。',
      server_unreachable: '有服务器无法连接。请检查地址、是否在运行以及密码。',
      mover_unavailable: '这些服务器之间没有可用的迁移方式。',
      forbidden: '您的角色不允许此操作。请联系管理员。',
      invalid_body: '表单中有内容不正确。',
      too_many_requests: '尝试次数过多，请稍后再试。',
      store: '服务器无法写入磁盘：没有做任何更改。请检查剩余空间和日志。',
      wrong_password: '用户名或密码错误。',
      unauthorized: '您已不在登录状态，请重新登录。',
      conflict: '当前状态不允许此操作。',
      impossible: '按现有条件无法完成。',
      internal: '服务器出错。日志中有更多信息，请求编号见下方。',
    },
  },
  health: { fine: '一切正常', fineHint: '所有检查均未发现问题。', problems: (n) => `${n} 个问题`, critical: '严重', warning: '警告', info: '提示' },
  overview: {
    opsTitle: '每秒操作数', latencyTitle: '延迟', errorsTitle: '每秒错误数', kpiOps: '操作/秒', kpiP50: 'p50', kpiP99: 'p99', kpiClients: '客户端', kpiErrors: '错误/秒', kpiKeys: '键', kpiData: '服务器内存',
    chartSummary: (name, now, max) => `${name}，最近一小时：当前 ${now}，最高 ${max}`, noChart: '尚无测量数据。', outOfStep: '未同步的代理', allInStep: '所有代理都运行当前拓扑。', lastHour: '最近一小时', groups: '分组', recent: '最近更改', nothingYet: '尚无更改。',
  },
  first: {
    title: '三步启用代理', group: '添加分组', groupHint: '一个分组是一台 Redis 或 Pika 服务器及其副本。先添加一个即可。', assign: '分配槽位', assignHint: '1024 个槽位容纳所有的键。把每个槽位分给一个分组，不会移动数据。', connect: '连接客户端', connectHint: '像连接单个 Redis 服务器一样连接代理。',
    even: '平均分配到所有分组', added: (n) => `已有 ${n} 个分组`, addAnother: '再添加一个分组',
  },
  slots: {
    title: '槽位', owner: '归属', traffic: '流量', keys: '键数', bytes: '大小', mode: '颜色表示', rebalance: '自动均衡…', help: '拖拽或 Shift+方向键选择 · Ctrl 追加 · Enter 迁移 · Esc 清除', selected: (n) => `已选 ${n} 个`, clear: '清除', range: '槽位，例如 0-31,64', rangeWrong: '请写成 0-31,64 这样的形式（0 到 1023）。',
    lookup: '查找键所在的槽位', lookupGo: '查找', lookupResult: (slot, group) => `位于槽位 ${slot}，${group}`, unassigned: '未分配', target: '目标分组', move: '迁移…', assign: '分配…', legend: '分组', legendHint: '点击可选择该分组的槽位', gridLabel: '槽位 0 到 1023，每行 32 个', cell: (slot, what) => `槽位 ${slot}，${what}`,
    states: { unassigned: '未分配', normal: '服务中', locked: '切换中', migrating: '迁移中' }, to: '至', table: '区间', from: '从', until: '到', count: '数量', group: '分组', noHeat: '尚未统计：按此项均衡的计划会进行统计。', heatLow: '少', heatHigh: '多', selectRow: '选择', noGroups: '还没有分组，请先添加。', mixed: '所选包含已分配和未分配的槽位。若要分配，请只选择未分配的槽位。', shown: (n) => `${n} 个槽位`, holds: '所选包含',
  },
  assign: { title: '分配槽位', text: (n, group) => `把 ${n} 个未分配的槽位分给 ${group}。`, effect: '不移动任何键。所有代理获知后，客户端即可使用这些槽位。', done: '已分配。', submit: '分配', evenText: (n, groups) => `把 ${n} 个未分配的槽位平均分给 ${groups} 个分组。` },
  plan: {
    rebalance: '均衡所有分组', drain: '清空分组', strategy: '均衡依据', strategies: { slots: '槽位数', keys: '键数', bytes: '数据量', ops: '流量' }, drainGroups: '要清空的分组', maxMoves: '最多迁移槽位数', weights: '权重', weightsHint: '权重 2 的分组得到权重 1 的两倍，权重 0 则不分。',
    compute: '计算计划', recompute: '重新计算', change: '修改选项', toMove: '待迁移槽位', data: '数据', keys: '键', eta: '预计时间', before: '之前', after: '之后', from: '从', to: '到', count: '槽位', ranges: '区间', flows: '迁移明细', warnings: '注意',
    pinned: (id, version) => `计划 ${id}，基于拓扑 v${version}；拓扑变化后将被拒绝`, expires: (time) => `有效至 ${time}`, empty: '无需迁移：槽位已经符合要求。', start: '开始迁移', started: '迁移已开始。', json: '下载 JSON', selection: (n, group) => `${n} 个槽位迁往 ${group}`, group: '分组', stale: '拓扑已不是此计划所基于的版本，请重新计算。',
  },
  migrations: {
    title: '迁移', past: '已结束', none: '还没有迁移过。', noneHint: '选择槽位后点“迁移”，或使用“自动均衡”。', noneRunning: '当前没有迁移。', states: { pending: '等待中', running: '进行中', paused: '已暂停', cancelling: '取消中', cancelled: '已取消', failed: '失败', succeeded: '完成' },
    pause: '暂停', resume: '继续', cancel: '取消…', retry: '重试', left: (time) => `剩余 ${time}`, slots: (done, total) => `${done}/${total} 槽位`, keysMoved: (n) => `已迁移 ${n} 个键`, keysLeft: (n) => `约剩 ${n}`, rateKeys: '每秒键数', rateBytes: '每秒字节', perSecond: (value) => `${value}/秒`, mover: '迁移方式', bySlot: '槽位', direction: '方向', forward: '前往', back: '返回', step: '步骤',
    steps: { pending: '等待', preparing: '切换', migrating: '迁移', finishing: '收尾', done: '完成', cancelling: '折返', returning: '返回', dropped: '放弃', target_stands: '暂停', source_stands: '暂停' },
    cancelTitle: (id) => `取消迁移 ${id}`, rollback: '迁回已迁移的数据', rollbackHint: '所有槽位回到原处，耗时与迁移到现在大致相同。', finish: '完成进行中的槽位后停止', finishHint: '已迁移的留在目标，其余不动。', pauseTitle: (id) => `暂停迁移 ${id}`, pauseText: '后台不再迁移键。客户端访问的键仍会迁移，因此进行中的槽位保持正确。', paused: '已暂停。', resumed: '已继续。', cancelled: '正在取消。', retried: '正在重试。', rateSet: '新速率已生效。', undo: '撤销',
    by: (who, when) => `${who}，${when}`, held: '被暂缓的请求', id: '迁移', took: '耗时', started: '开始', cancelSubmit: '取消迁移',
  },
  groups: {
    title: '分组', add: '添加分组…', addTitle: '添加分组', servers: '服务器', serversHint: '每行一个 host:port。会先询问它们，自称主节点的即为主节点。', username: '用户', password: '密码', passwordHint: '服务器的密码。由服务器保存，不再显示。', weight: '权重', create: '添加分组', created: '分组已添加。', none: '还没有分组。', noneHint: '一个分组是一个主节点及其副本，拥有若干槽位。', master: '主', replica: '副本',
    lag: '延迟', memory: '内存', keys: '键', ops: '操作/秒', engine: '引擎', movers: '迁移方式', address: '地址', addServer: '添加服务器…', addServerTitle: (group) => `向 ${group} 添加服务器`, addServerText: '它将成为主节点的副本，其现有数据会丢失。', removeServerTitle: (addr) => `移除 ${addr}`, removeServerText: '分组不再包含它，服务器本身继续运行。', promote: '提升…', promoteTitle: (addr) => `提升 ${addr}`,
    graceful: '平滑', gracefulHint: '请求会等待副本追上，迁移会暂停，不丢数据。', force: '强制', forceHint: '立即执行，不询问旧主节点。副本尚未收到的写入会丢失。', expected: (addr) => `当前主节点是 ${addr}`, promoted: '提升已开始。', replicate: '重新跟随', replicated: '已重新跟随主节点。', replicateTitle: (addr) => `让 ${addr} 重新跟随主节点`, replicateText: '它会从主节点重新复制全部数据。', drain: '清空…', remove: '移除分组…', removeTitle: (group) => `移除 ${group}`, removeText: '集群不再包含该分组及其服务器。服务器带着数据继续运行。', removed: '已移除。', edit: '编辑…', editTitle: (group) => `编辑 ${group}`, saved: '已保存。', notEmpty: '仍有槽位：请先清空。',
    states: { up: '正常', down: '无法连接', loading: '加载中', broken: '复制中断', unknown: '尚未询问' }, leaving: (n) => `${n} 个迁出中`, arriving: (n) => `${n} 个迁入中`, slotsOwned: (n) => `${n} 个槽位`, test: '仅检查', tested: '服务器有应答，没有做任何更改。',
    steps: { checking: '检查', pausing: '暂停迁移', locking: '追赶', promoting: '切换', repointing: '重新跟随' }, promotes: (addr) => `${addr} 正在成为主节点`, promotedTo: (addr) => `${addr} 已成为主节点。`, notPromoted: (addr) => `${addr} 未被提升：`,
  },
  proxies: {
    title: '代理', version: '拓扑', lease: '租约', clients: '客户端', ops: '操作/秒', errors: '错误/秒', uptime: '运行时间', memory: '内存', release: '版本', address: '地址', states: { ready: '就绪', behind: '落后' }, lastCommand: '最近命令', idle: '空闲', inStep: '已同步', behind: (v) => `运行 v${v}`, drain: '排空…', drainTitle: (name) => `排空 ${name}`, drainText: '不再接受新客户端，让现有的完成。', resync: '重新下发', resynced: '已重新下发拓扑。', drained: '正在排空。', local: '本进程', showClients: '客户端', noClients: '没有客户端连接。', kill: '断开', killed: '已断开。', clientName: '名称', user: '用户', age: '时长', remove: '移除…', removeTitle: (name) => `移除 ${name}`, removeText: '控制台不再管理它。若它仍在运行，可能使用旧拓扑：请先停止它。', killTitle: (addr) => `断开 ${addr}`, killText: '连接会被关闭，进行中的请求得不到回答。',
  },
  slowlog: { title: '慢日志', hot: '热点键', key: '键', slot: '槽位', group: '分组', noneHot: '没有突出的键。每 64 个请求抽样一个。', none: '没有慢命令。', at: '时间', took: '耗时', command: '命令', client: '客户端', server: '服务器', atServer: '其中服务器' },
  audit: { title: '审计', who: '谁', what: '操作', object: '对象', when: '时间', from: '来源', result: '结果', none: '尚无更改。', noneFiltered: '没有符合筛选的记录。', filterActor: '操作者', filterAction: '操作', exportAll: '导出 (NDJSON)', reason: '原因', before: '之前', after: '之后', system: '系统' },
  settings: {
    users: '用户', tokens: '令牌', backups: '备份', values: '设置项', source: '来源', value: '值', saved: '已保存，立即生效。', addUser: '添加用户…', addUserTitle: '添加用户', removeUserTitle: (name) => `移除用户 ${name}`, removeUserText: '其会话立即结束。', lastLogin: '最近登录', never: '从未', addToken: '新令牌…', addTokenTitle: '新令牌', tokenOnce: '只显示这一次。请保存在只有您的程序能读取的地方。', removeTokenTitle: (name) => `移除令牌 ${name}`, removeTokenText: '使用它的程序会立即被拒绝。', lastUsed: '最近使用', expires: '过期', addBackup: '创建备份', backupMade: '备份已创建。', file: '文件', size: '大小', noTokens: '还没有令牌。程序需要令牌，人不需要。', noBackups: '还没有备份。', backupHint: '拓扑、迁移、用户和审计的一致副本，不含您的数据。',
    role: '角色', roleHints: { viewer: '可查看全部', operator: '迁移槽位、更改分组', admin: '全部，包括用户' }, created: '已创建。', removed: '已移除。', resetPassword: '新密码…', resetTitle: (name) => `为 ${name} 设置新密码`, none: '服务器没有可在此更改的设置。', you: '您', change: '更改…',
  },
  api: { title: 'API', intro: '本页能做的一切都可以用 curl 完成。请在“设置”中创建令牌并放入 PIKAPROXY_TOKEN。', role: '角色', parameters: '参数', body: '请求体', answers: '回答', filter: '按路径或文字筛选', document: 'OpenAPI 文档', required: '必填' },
  keys: { title: '键盘', open: '键盘 (?)', go: '再按 o s m g p a t i 之一：前往页面', grid: '网格中', arrows: '方向键移动，加 Shift 选择', space: '空格增减一个槽位', enter: 'Enter 迁移所选', esc: 'Esc 清除', all: 'Ctrl+A 全选', search: '/ 跳到筛选或区间输入框' },
};
