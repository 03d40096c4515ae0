//! Words that requests are made of: names, subjects, notes and account numbers.

/// First names.
pub const FIRST: [&str; 16] = [
    "Ana", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Henri", "Irene", "Jonas", "Karla", "Luis",
    "Marta", "Nils", "Olga", "Paul",
];

/// Last names, some of them hard for pattern matchers.
pub const LAST: [&str; 16] = [
    "Adler",
    "O'Brien",
    "Costa",
    "d'Arc",
    "Engel",
    "Ferrari",
    "Gruber",
    "Hoffmann",
    "Ivanov",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Müller-Union",
    "Nguyen",
    "Ott",
    "Select",
];

/// What money is sent for.
pub const SUBJECTS: [&str; 24] = [
    "rent march",
    "rent april",
    "electricity 2026-03",
    "invoice 2026-0417",
    "dinner on friday",
    "birthday present",
    "school trip",
    "water bill",
    "phone contract 4711",
    "gym membership",
    "car repair",
    "union fee",
    "tickets for the match",
    "deposit",
    "half of the groceries",
    "insurance H-2231",
    "order 88-1093",
    "charity",
    "flat share",
    "piano lessons",
    "dentist",
    "parking",
    "club fee",
    "thanks!",
];

/// What people write to support: ordinary text that holds words and signs of attacks.
pub const NOTES: [&str; 20] = [
    "Please send the amber form again, the link in the mail does not open.",
    "I can't select my new address from the list, the drop down is empty.",
    "Two payments of 1=1 unit each were booked where one was ordered; please update my statement.",
    "The union of our two accounts was agreed in branch 12, when does it take effect?",
    "My wife's card (ending 4417) was refused at O'Reilly's; is it locked?",
    "Is the fee really 5 % or 5 o/oo? Your page says both -- please clarify.",
    "When I click on \"Statements > 2026 > March\" the page stays white.",
    "Danke für die schnelle Hilfe! Alles funktioniert wieder.",
    "Pouvez-vous m'envoyer l'attestation d'assurance pour l'année dernière ?",
    "Where do I drop off the signed table of authorised persons?",
    "I ordered from a shop named {Curly} & Sons; the booking text reads <unknown>.",
    "My script to download statements gets status 429, how many requests per minute are fine?",
    "Please delete from my profile the old phone number; the new one is right.",
    "What does `pending;held` mean next to a transfer?",
    "The exchange rate of 1.0875 differs from yesterday's (1.0891), why?",
    "I moved to ../Mill Street? No: 12b Mill Street, 2nd floor. The form eats the first line.",
    "Can I execute a standing order on the last day of each month?",
    "The app says \"null\" instead of my name since the update.",
    "Prosim o potvrzení platby č. 20260311.",
    "Please close the savings account and move the rest to the current one.",
];

/// The word of a number.
pub fn pick<const N: usize>(of: &[&'static str; N], number: u64) -> &'static str {
    let at = usize::try_from(number).unwrap_or_default().checked_rem(N).unwrap_or_default();
    of.get(at).copied().unwrap_or_default()
}

/// The IBAN of an account of the bank (ISO 13616): the rest followed by `DE` as 1314 and 00, modulo 97.
pub fn iban(account: u64) -> String {
    let bban = format!("10020030{account:010}");
    let digits = format!("{bban}131400");
    let rest =
        digits.bytes().fold(0_u32, |rest, digit| (rest * 10 + u32::from(digit.wrapping_sub(b'0'))) % 97);
    format!("DE{:02}{bban}", 98 - rest)
}
