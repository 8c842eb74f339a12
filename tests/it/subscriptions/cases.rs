//! The table of stories.

use super::ledgers::{Case, Do::*};

pub const CASES: &[Case] = &[
    Case {
        name: "the last day of a month comes back",
        start: "2026-01-31T10:00:00Z",
        steps: &[
            ("2026-02-28T09:59:59Z", Look),
            ("2026-02-28T10:00:00Z", Look),
            ("2026-03-31T10:00:00Z", Job),
            ("2026-04-30T10:00:00Z", Look),
        ],
        ledger: "
            01-31 10:00 grant plan +10 =10 for 01-31 10:00 to 02-28 10:00
            02-28 10:00 expire plan -10 =0
            02-28 10:00 grant plan +10 =10 for 02-28 10:00 to 03-31 10:00
            03-31 10:00 expire plan -10 =0
            03-31 10:00 grant plan +10 =10 for 03-31 10:00 to 04-30 10:00
            04-30 10:00 expire plan -10 =0
            04-30 10:00 grant plan +10 =10 for 04-30 10:00 to 05-31 10:00",
        last: "mini 1 2026-05-31 10:00",
    },
    Case {
        name: "a leap day, and the year after it",
        start: "2028-01-30T00:00:00Z",
        steps: &[
            ("2028-02-29T00:00:00Z", Spend(4)),
            ("2028-03-30T00:00:00Z", Look),
            ("2029-02-28T00:00:00Z", Look),
        ],
        ledger: "
            01-30 00:00 grant plan +10 =10 for 01-30 00:00 to 02-29 00:00
            02-29 00:00 expire plan -10 =0
            02-29 00:00 grant plan +10 =10 for 02-29 00:00 to 03-30 00:00
            02-29 00:00 hold plan -4 =6
            02-29 00:00 settle plan +0 =6 spent 4
            03-30 00:00 expire plan -6 =0
            03-30 00:00 grant plan +10 =10 for 03-30 00:00 to 04-30 00:00
            02-28 00:00 expire plan -10 =0
            02-28 00:00 grant plan +10 =10 for 02-28 00:00 to 03-30 00:00",
        last: "mini 1 2029-03-30 00:00",
    },
    Case {
        name: "a changed zone moves the end of the period that begins after it",
        start: "2026-02-15T11:00:00Z",
        steps: &[
            ("2026-02-20T00:00:00Z", Change("berlin")),
            ("2026-03-15T11:00:00Z", Look),
            ("2026-04-01T00:00:00Z", Later("mini")),
            ("2026-04-15T09:59:59Z", Look),
            ("2026-04-15T10:00:00Z", Look),
        ],
        ledger: "
            02-15 11:00 grant plan +10 =10 for 02-15 11:00 to 03-15 11:00
            03-15 11:00 expire plan -10 =0
            03-15 11:00 grant plan +10 =10 for 03-15 11:00 to 04-15 10:00
            04-15 10:00 expire plan -10 =0
            04-15 10:00 grant plan +10 =10 for 04-15 10:00 to 05-15 11:00",
        last: "mini 1 2026-05-15 11:00",
    },
    Case {
        name: "three days of downtime over the end of a period change nothing but when it is booked",
        start: "2026-01-10T08:00:00Z",
        steps: &[
            ("2026-02-09T08:00:00Z", Spend(3)),
            ("2026-02-13T08:00:00Z", Job),
            ("2026-03-10T08:00:00Z", Look),
        ],
        ledger: "
            01-10 08:00 grant plan +10 =10 for 01-10 08:00 to 02-10 08:00
            02-09 08:00 hold plan -3 =7
            02-09 08:00 settle plan +0 =7 spent 3
            02-13 08:00 expire plan -7 =0
            02-13 08:00 grant plan +10 =10 for 02-10 08:00 to 03-10 08:00
            03-10 08:00 expire plan -10 =0
            03-10 08:00 grant plan +10 =10 for 03-10 08:00 to 04-10 08:00",
        last: "mini 1 2026-04-10 08:00",
    },
    Case {
        name: "of periods through which nobody looked only the current one is granted",
        start: "2026-01-10T08:00:00Z",
        steps: &[("2026-05-01T00:00:00Z", Look)],
        ledger: "
            01-10 08:00 grant plan +10 =10 for 01-10 08:00 to 02-10 08:00
            05-01 00:00 expire plan -10 =0
            05-01 00:00 grant plan +10 =10 for 04-10 08:00 to 05-10 08:00",
        last: "mini 1 2026-05-10 08:00",
    },
    Case {
        name: "up, spend, down, up again wins nothing, and the next period is whole",
        start: "2026-06-01T00:00:00Z",
        steps: &[
            ("2026-06-05T00:00:00Z", Spend(8)),
            ("2026-06-10T00:00:00Z", Change("midi")),
            ("2026-06-10T00:00:00Z", Change("midi")),
            ("2026-06-11T00:00:00Z", Spend(200)),
            ("2026-06-12T00:00:00Z", Change("mini")),
            ("2026-06-13T00:00:00Z", Change("midi")),
            ("2026-06-14T00:00:00Z", Change("maxi")),
            ("2026-06-15T00:00:00Z", Later("midi")),
            ("2026-07-01T00:00:00Z", Look),
        ],
        ledger: "
            06-01 00:00 grant plan +10 =10 for 06-01 00:00 to 07-01 00:00
            06-05 00:00 hold plan -8 =2
            06-05 00:00 settle plan +0 =2 spent 8
            06-10 00:00 grant plan +290 =292 for 06-10 00:00 to 07-01 00:00
            06-11 00:00 hold plan -2 =290
            06-11 00:00 hold plan -198 =92
            06-11 00:00 settle plan +0 =92 spent 2
            06-11 00:00 settle plan +0 =92 spent 198
            06-14 00:00 grant plan +700 =792 for 06-14 00:00 to ever
            07-01 00:00 expire plan -92 =700
            07-01 00:00 grant rollover +92 =792 for 07-01 00:00 to ever
            07-01 00:00 grant plan +300 =1092 for 07-01 00:00 to 08-01 00:00",
        last: "midi 1 2026-08-01 00:00",
    },
    Case {
        name: "down at once takes nothing back, down later waits",
        start: "2026-06-01T00:00:00Z",
        steps: &[
            ("2026-06-02T00:00:00Z", Change("midi")),
            ("2026-06-10T00:00:00Z", Change("mini")),
            ("2026-07-01T00:00:00Z", Look),
            ("2026-07-02T00:00:00Z", Change("midi")),
            ("2026-07-03T00:00:00Z", Later("mini")),
            ("2026-07-04T00:00:00Z", Spend(250)),
            ("2026-08-01T00:00:00Z", Look),
        ],
        ledger: "
            06-01 00:00 grant plan +10 =10 for 06-01 00:00 to 07-01 00:00
            06-02 00:00 grant plan +290 =300 for 06-02 00:00 to 07-01 00:00
            07-01 00:00 expire plan -10 =290
            07-01 00:00 expire plan -290 =0
            07-01 00:00 grant plan +10 =10 for 07-01 00:00 to 08-01 00:00
            07-02 00:00 grant plan +290 =300 for 07-02 00:00 to 08-01 00:00
            07-04 00:00 hold plan -10 =290
            07-04 00:00 hold plan -240 =50
            07-04 00:00 settle plan +0 =50 spent 10
            07-04 00:00 settle plan +0 =50 spent 240
            08-01 00:00 expire plan -50 =0
            08-01 00:00 grant rollover +50 =50 for 08-01 00:00 to 09-01 00:00
            08-01 00:00 grant plan +10 =60 for 08-01 00:00 to 09-01 00:00",
        last: "mini 1 2026-09-01 00:00",
    },
    Case {
        name: "what is carried over is capped, lasts one period, and is spent after the plan and before what was bought",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-01T00:00:00Z", Set("midi")),
            ("2026-01-02T00:00:00Z", Buy(20)),
            ("2026-01-20T00:00:00Z", Spend(100)),
            ("2026-02-01T00:00:00Z", Look),
            ("2026-02-02T00:00:00Z", Spend(460)),
            ("2026-03-01T00:00:00Z", Job),
            ("2026-04-01T00:00:00Z", Job),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            01-01 00:00 grant plan +290 =300 for 01-01 00:00 to 02-01 00:00
            01-02 00:00 grant purchase +20 =320 for 01-02 00:00 to ever
            01-20 00:00 hold plan -10 =310
            01-20 00:00 hold plan -90 =220
            01-20 00:00 settle plan +0 =220 spent 10
            01-20 00:00 settle plan +0 =220 spent 90
            02-01 00:00 expire plan -200 =20
            02-01 00:00 grant rollover +150 =170 for 02-01 00:00 to 03-01 00:00
            02-01 00:00 grant plan +300 =470 for 02-01 00:00 to 03-01 00:00
            02-02 00:00 hold plan -300 =170
            02-02 00:00 hold rollover -150 =20
            02-02 00:00 hold purchase -10 =10
            02-02 00:00 settle plan +0 =10 spent 300
            02-02 00:00 settle rollover +0 =10 spent 150
            02-02 00:00 settle purchase +0 =10 spent 10
            03-01 00:00 grant plan +300 =310 for 03-01 00:00 to 04-01 00:00
            04-01 00:00 expire plan -300 =10
            04-01 00:00 grant rollover +150 =160 for 04-01 00:00 to 05-01 00:00
            04-01 00:00 grant plan +300 =460 for 04-01 00:00 to 05-01 00:00",
        last: "midi 1 2026-05-01 00:00",
    },
    Case {
        name: "what an unlimited plan grants stays, after the plan too",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-01T00:00:00Z", Set("maxi")),
            ("2026-02-01T00:00:00Z", Look),
            ("2026-02-02T00:00:00Z", Later("mini")),
            ("2026-03-01T00:00:00Z", Look),
            ("2026-04-01T00:00:00Z", Look),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            01-01 00:00 grant plan +990 =1000 for 01-01 00:00 to ever
            02-01 00:00 expire plan -10 =990
            02-01 00:00 grant rollover +10 =1000 for 02-01 00:00 to ever
            02-01 00:00 grant plan +1000 =2000 for 02-01 00:00 to ever
            03-01 00:00 grant plan +10 =2010 for 03-01 00:00 to 04-01 00:00
            04-01 00:00 expire plan -10 =2000
            04-01 00:00 grant plan +10 =2010 for 04-01 00:00 to 05-01 00:00",
        last: "mini 1 2026-05-01 00:00",
    },
    Case {
        name: "tokens of a plan are granted and carried over like credits, and bought credits are not touched",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-03T00:00:00Z", Buy(50)),
            ("2026-01-04T00:00:00Z", Change("words")),
            ("2026-01-05T00:00:00Z", Use(120)),
            ("2026-02-01T00:00:00Z", Look),
            ("2026-02-02T00:00:00Z", Use(600)),
            ("2026-03-01T00:00:00Z", Look),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            01-03 00:00 grant purchase +50 =60 for 01-03 00:00 to ever
            01-04 00:00 grant plan +500 =500 tokens for 01-04 00:00 to 02-01 00:00
            01-05 00:00 hold plan -120 =380 tokens
            01-05 00:00 settle plan +0 =380 tokens spent 120
            02-01 00:00 expire plan -10 =50
            02-01 00:00 expire plan -380 =0 tokens
            02-01 00:00 grant rollover +380 =380 tokens for 02-01 00:00 to 03-01 00:00
            02-01 00:00 grant plan +500 =880 tokens for 02-01 00:00 to 03-01 00:00
            02-02 00:00 hold plan -500 =380 tokens
            02-02 00:00 hold rollover -100 =280 tokens
            02-02 00:00 settle plan +0 =280 tokens spent 500
            02-02 00:00 settle rollover +0 =280 tokens spent 100
            03-01 00:00 expire rollover -280 =0 tokens
            03-01 00:00 grant rollover +280 =280 tokens for 03-01 00:00 to 04-01 00:00
            03-01 00:00 grant plan +500 =780 tokens for 03-01 00:00 to 04-01 00:00",
        last: "words 1 2026-04-01 00:00",
    },
    Case {
        name: "a hold over the end of a period is paid by the old one, and what it gives back has expired",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-31T23:00:00Z", Hold(6)),
            ("2026-02-01T00:00:00Z", Look),
            ("2026-02-01T01:00:00Z", Settle(2)),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            01-31 23:00 hold plan -6 =4
            02-01 00:00 expire plan -4 =0
            02-01 00:00 grant plan +10 =10 for 02-01 00:00 to 03-01 00:00
            02-01 01:00 settle plan +4 =14 spent 2
            02-01 01:00 expire plan -4 =10",
        last: "mini 1 2026-03-01 00:00",
    },
    Case {
        name: "a plan on loan goes back within a period",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-10T00:00:00Z", Lend("midi", "2026-02-15T00:00:00Z")),
            ("2026-01-10T00:00:00Z", Lend("midi", "2026-02-15T00:00:00Z")),
            ("2026-02-01T00:00:00Z", Look),
            ("2026-02-20T00:00:00Z", Look),
            ("2026-03-01T00:00:00Z", Look),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            01-10 00:00 grant plan +290 =300 for 01-10 00:00 to 02-01 00:00
            02-01 00:00 expire plan -10 =290
            02-01 00:00 expire plan -290 =0
            02-01 00:00 grant rollover +150 =150 for 02-01 00:00 to 03-01 00:00
            02-01 00:00 grant plan +300 =450 for 02-01 00:00 to 03-01 00:00
            03-01 00:00 expire rollover -150 =300
            03-01 00:00 expire plan -300 =0
            03-01 00:00 grant plan +10 =10 for 03-01 00:00 to 04-01 00:00",
        last: "mini 1 2026-04-01 00:00",
    },
    Case {
        name: "the first look after a loan and two ends of periods leads to the customer's own plan",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-10T00:00:00Z", Lend("midi", "2026-02-15T00:00:00Z")),
            ("2026-03-02T00:00:00Z", Job),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            01-10 00:00 grant plan +290 =300 for 01-10 00:00 to 02-01 00:00
            03-02 00:00 expire plan -10 =290
            03-02 00:00 expire plan -290 =0
            03-02 00:00 grant rollover +150 =150 for 03-01 00:00 to 04-01 00:00
            03-02 00:00 grant plan +10 =160 for 03-01 00:00 to 04-01 00:00",
        last: "mini 1 2026-04-01 00:00",
    },
    Case {
        name: "a new version of the plan takes over with the renewal",
        start: "2026-01-01T00:00:00Z",
        steps: &[
            ("2026-01-10T00:00:00Z", Offer("credits = \"10\"", "credits = \"25\"")),
            ("2026-01-31T23:59:59Z", Look),
            ("2026-02-01T00:00:00Z", Look),
        ],
        ledger: "
            01-01 00:00 grant plan +10 =10 for 01-01 00:00 to 02-01 00:00
            02-01 00:00 expire plan -10 =0
            02-01 00:00 grant plan +25 =25 for 02-01 00:00 to 03-01 00:00",
        last: "mini 2 2026-03-01 00:00",
    },
];
