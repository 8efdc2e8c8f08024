//! Text that the open engine invents where nobody spoke: it was trained on subtitles, and
//! silence, music and noise remind it of their ends.

use super::Decoded;

/// Above this probability of no speech, an unsure text is not believed. Measured at 0.5 to 0.9 for
/// silence, noise, tones and music.
const NO_SPEECH: f32 = 0.5;
/// Below this mean log probability a text is unsure. Of real telephone speech the worst measured
/// was -0.8.
const UNSURE: f32 = -1.0;
/// Below this one it is not believed at all. Silence, noise, tones and music: -1.3 to -4.2.
const INCREDIBLE: f32 = -1.6;
/// What silence is heard as, compared without case and punctuation. Believed only when nothing
/// speaks against them, since a caller may say some of them too.
const FAMILIAR: [&str; 16] = [
    "you",
    "thank you for watching",
    "thanks for watching",
    "thank you very much for watching",
    "please subscribe",
    "like and subscribe",
    "bye bye",
    "the end",
    "music",
    "subtitles by the amara org community",
    "amara org",
    "字幕由 amara org 社区提供",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
    "謝謝觀看",
    "谢谢观看",
    "謝謝大家",
];

/// Whether `decoded` is more likely invented than heard.
pub fn is_likely(decoded: &Decoded) -> bool {
    let unsure = decoded.score < UNSURE;
    if decoded.score < INCREDIBLE || (unsure && decoded.no_speech > NO_SPEECH) {
        return true;
    }
    let words = words_of(&decoded.text);
    if words.is_empty() || repeats(&words) {
        return true;
    }
    let doubtful = unsure || decoded.no_speech > 0.2 || decoded.score < -0.7;
    doubtful && FAMILIAR.contains(&words.join(" ").as_str())
}

/// Lower-case words without punctuation.
fn words_of(text: &str) -> Vec<String> {
    let kept: String =
        text.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    kept.split_whitespace().map(str::to_owned).collect()
}

/// Whether some run of one to six units (words, or characters of a script without spaces)
/// follows itself at least four more times. Single digits may well repeat: "0 0 0 0 0".
fn repeats(words: &[String]) -> bool {
    let units: Vec<&str> = words
        .iter()
        .flat_map(|word| {
            let spaceless = word.chars().any(|c| c as u32 >= 0x3000);
            if spaceless {
                word.split("").filter(|c| !c.is_empty()).collect()
            } else {
                vec![&word[..]]
            }
        })
        .collect();
    (1..=6).any(|length| {
        units.windows(length * 5).any(|stretch| {
            let first = &stretch[..length];
            let digits = first.iter().all(|unit| unit.parse::<u8>().is_ok_and(|n| n < 10));
            !digits && stretch.chunks(length).all(|run| run == first)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventions_are_known_and_replies_are_kept() {
        // (text, score, no speech, invented?)
        let table = [
            ("I want my refund.", -0.2, 0.02, false),
            ("I want my refund.", -1.2, 0.7, true),
            ("I want my refund.", -1.2, 0.1, false),
            ("I want my refund.", -1.7, 0.1, true),
            ("Thank you for watching!", -0.3, 0.5, true),
            ("Thank you for watching!", -0.3, 0.01, false),
            ("you", -0.9, 0.1, true),
            ("", -0.1, 0.0, true),
            ("...", -0.1, 0.0, true),
            ("no no no no no no no", -0.1, 0.0, true),
            ("I'm sorry. I'm sorry. I'm sorry. I'm sorry. I'm sorry.", -0.1, 0.0, true),
            ("0 0 0 0 0 0 7", -0.1, 0.0, false),
            ("no no no", -0.1, 0.0, false),
            ("谢谢谢谢谢谢谢谢谢谢谢谢", -0.1, 0.0, true),
            ("我要查一下订单", -0.3, 0.1, false),
            ("谢谢观看", -0.8, 0.1, true),
        ];
        for (text, score, no_speech, invented) in table {
            let decoded = Decoded { text: text.to_owned(), score, no_speech };
            assert_eq!(is_likely(&decoded), invented, "{text}");
        }
    }
}
