//! Traditional Chinese characters as simplified ones: recognisers write either.

/// The simplified form of a common traditional character; any other character as it is.
pub fn simplified(character: char) -> char {
    // All of these lie in the main block of Han characters; most text of other languages does not.
    if !('\u{4e00}'..='\u{9fff}').contains(&character) {
        return character;
    }
    let mut pairs = PAIRS.iter().flat_map(|row| row.split(' '));
    let pair = pairs.find(|pair| pair.starts_with(character));
    pair.and_then(|pair| pair.chars().nth(1)).unwrap_or(character)
}

/// Traditional and simplified, beside each other: the characters of everyday talk, trade, service
/// and numbers whose two forms differ.
const PAIRS: [&str; 38] = [
    "們们 來来 時时 個个 這这 說说 會会 對对 沒没 過过 還还 後后 裡里 裏里 麼么",
    "嗎吗 為为 與与 從从 給给 讓让 請请 謝谢 誰谁 話话 語语 講讲 談谈 問问 題题",
    "訂订 單单 號号 碼码 電电 機机 網网 線线 聯联 絡络 係系 繫系 郵邮 遞递 運运",
    "貨货 費费 錢钱 賬账 帳账 買买 賣卖 價价 貴贵 賠赔 償偿 贈赠 購购 資资 財财",
    "銀银 證证 驗验 確确 認认 識识 記记 錄录 註注 冊册 設设 計计 訊讯 開开 關关",
    "門门 間间 閉闭 閱阅 聞闻 聽听 見见 視视 覺觉 觀观 規规 親亲 現现 發发 髮发",
    "處处 辦办 務务 動动 勞劳 勢势 勝胜 勵励 進进 遠远 連连 選选 換换 損损 壞坏",
    "錯错 誤误 遲迟 賴赖 騙骗 誇夸 據据 態态 質质 東东 車车 軍军 輸输 輕轻 載载",
    "轉转 軟软 較较 輪轮 輛辆 陸陆 陽阳 陰阴 隊队 飛飞 馬马 鳥鸟 魚鱼 龍龙 龜龟",
    "雞鸡 鴨鸭 貓猫 豬猪 蟲虫 獸兽 獎奖 獨独 獲获 長长 張张 強强 彈弹 彎弯 歸归",
    "歲岁 歷历 曆历 應应 廣广 廠厂 廳厅 庫库 廢废 國国 圖图 園园 圓圆 團团 圍围",
    "場场 壓压 塊块 塵尘 報报 執执 墻墙 牆墙 壇坛 學学 寫写 實实 寶宝 審审 寬宽",
    "宮宫 專专 將将 導导 尋寻 壽寿 屬属 層层 屆届 愛爱 慮虑 憂忧 懷怀 憶忆 戀恋",
    "慶庆 惡恶 惱恼 願愿 顧顾 顯显 數数 條条 樣样 樓楼 樂乐 權权 橋桥 檢检 檔档",
    "極极 標标 構构 樹树 楊杨 氣气 漢汉 湯汤 溫温 滿满 漸渐 潔洁 濟济 濕湿 灣湾",
    "測测 準准 減减 決决 沖冲 點点 無无 煙烟 熱热 燈灯 爐炉 燒烧 營营 爭争 爺爷",
    "牽牵 狀状 環环 瑪玛 畫画 當当 療疗 瘋疯 癢痒 盡尽 監监 盤盘 盜盗 眾众 睜睁",
    "礙碍 禮礼 禍祸 種种 稱称 積积 穩稳 窮穷 竊窃 競竞 筆笔 節节 範范 築筑 簡简",
    "簽签 籤签 糧粮 糾纠 紀纪 約约 紅红 納纳 純纯 紙纸 級级 細细 終终 組组 結结",
    "絕绝 統统 經经 緊紧 緒绪 維维 編编 練练 縣县 總总 績绩 織织 繼继 續续 纔才",
    "羅罗 習习 職职 聲声 聰聪 腦脑 腳脚 臉脸 臨临 舊旧 艙舱 藝艺 藥药 蘋苹 葉叶",
    "著着 蘇苏 蘭兰 萬万 莊庄 術术 衛卫 補补 裝装 製制 複复 復复 襯衬 褲裤 覽览",
    "觸触 訪访 許许 訴诉 診诊 評评 詞词 試试 詢询 該该 詳详 誠诚 調调 論论 諾诺",
    "謂谓 譯译 議议 護护 讀读 變变 讚赞 豐丰 負负 責责 貸贷 貿贸 賀贺 賞赏 賓宾",
    "贏赢 跡迹 踐践 蹤踪 軌轨 辭辞 農农 達达 違违 適适 遷迁 遺遗 邊边 鄉乡 醫医",
    "釋释 針针 鈴铃 鐘钟 鍾钟 鐵铁 鑰钥 鎖锁 錶表 鋪铺 銷销 鍵键 鏡镜 鑽钻 閃闪",
    "際际 隨随 險险 隱隐 雖虽 雙双 雜杂 離离 難难 雲云 靜静 響响 頁页 頂顶 項项",
    "順顺 須须 預预 領领 頭头 頻频 顆颗 額额 顏颜 類类 風风 飯饭 飲饮 館馆 餘余",
    "騎骑 驚惊 驟骤 體体 髒脏 鬆松 鬧闹 鮮鲜 麗丽 麥麦 麵面 黃黄 黨党 齊齐 齡龄",
    "齣出 兩两 幾几 億亿 兒儿 內内 凍冻 別别 劃划 劇剧 劍剑 創创 剛刚 則则 傳传",
    "傷伤 債债 備备 優优 儘尽 僅仅 儲储 側侧 偵侦 偽伪 倉仓 喪丧 喚唤 嘗尝 嚐尝",
    "嚴严 啟启 啓启 員员 噸吨 嚇吓 嘔呕 噴喷 夠够 夢梦 夾夹 奪夺 奮奋 媽妈 婦妇",
    "嬰婴 孫孙 寧宁 屜屉 島岛 嶺岭 巖岩 幣币 幫帮 帶带 師师 幹干 廚厨 彙汇 匯汇",
    "徑径 徵征 徹彻 戲戏 戰战 戶户 掃扫 掛挂 採采 揚扬 揮挥 搶抢 搖摇 撥拨 擔担",
    "擁拥 擇择 擊击 擴扩 擺摆 攝摄 敗败 敵敌 斷断 於于 晝昼 曬晒 暫暂 書书 業业",
    "榮荣 槍枪 橫横 歐欧 歡欢 殘残 殺杀 毀毁 氫氢 況况 淚泪 淺浅 淨净 涼凉 潤润",
    "澤泽 濃浓 灑洒 異异 盧卢 矯矫 礦矿 禦御 臺台 檯台 颱台 週周 祇只 隻只 衹只",
    "妳你 佔占 佈布 僱雇 夥伙 傢家 牠它 衆众 脫脱 蓋盖 蒼苍 喫吃",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_a_recogniser_become_simplified() {
        let table = [
            ("我想查詢訂單狀態", "我想查询订单状态"),
            ("請問你們幾點開門", "请问你们几点开门"),
            ("轉人工客服謝謝", "转人工客服谢谢"),
            ("退款還沒到賬", "退款还没到账"),
            ("今天天气很好 abc", "今天天气很好 abc"),
        ];
        for (traditional, expected) in table {
            assert_eq!(traditional.chars().map(simplified).collect::<String>(), expected);
        }
    }

    #[test]
    fn every_pair_is_a_pair_and_no_result_needs_another_step() {
        for pair in PAIRS.iter().flat_map(|row| row.split(' ')) {
            assert_eq!(pair.chars().count(), 2, "{pair}");
            let result = pair.chars().nth(1).unwrap();
            assert_eq!(simplified(result), result, "{pair}");
        }
    }
}
